"""Keeps the state of a run in a file, which is readable while the catalog is locked."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from .. import __version__
from ..catalog.models import now
from ..core.durable import replace_file
from ..core.errors import first_problem
from ..core.signals import raise_lost_signal
from ..core.workspace import Workspace
from .lock import lock_holder

log = logging.getLogger("derlem.pipeline")

EVERY = 1.0
"""Seconds between writes of the state file."""


@dataclass(slots=True)
class RunState:
    """The identity, progress and end of a run. Times are UTC in ISO format."""

    run: str
    command: str
    config_hash: str
    version: str = __version__
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    started_at: str = field(default_factory=lambda: now().isoformat())
    finished_at: str | None = None
    state: str = "running"
    stage: str = ""
    error: str | None = None
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    worker_memory_peak: int = 0
    worker_deaths: int = 0


def new_run_id() -> str:
    """An id that sorts by time: UTC to the second and six random hex digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


class StateFile:
    """Writes `state/<run>.json` and `state/current.json`, each replaced atomically."""

    def __init__(self, workspace: Workspace, state: RunState) -> None:
        self.state = state
        self._folder = workspace.state
        self._folder.mkdir(parents=True, exist_ok=True)
        self._written = 0.0
        self.write()

    def count(self, stage: str, counts: dict[str, int]) -> None:
        """Add to a stage's counts; writes the file if EVERY seconds have passed since the last write."""
        stage_counts = self.state.counts.setdefault(stage, {})
        for key, number in counts.items():
            stage_counts[key] = stage_counts.get(key, 0) + number
        if time.monotonic() - self._written >= EVERY:
            self.write()

    def enter(self, stage: str) -> None:
        """Record the start of a stage."""
        raise_lost_signal()
        self.state.stage = stage
        self.write()

    def finish(self, state: str) -> None:
        """Record the end of the run: done, failed or interrupted."""
        self.state.state, self.state.finished_at = state, now().isoformat()
        self.write()

    def write(self) -> None:
        """Write both files now."""
        text = json.dumps(asdict(self.state), indent=2, sort_keys=True)
        for name in (f"{self.state.run}.json", "current.json"):
            replace_file(self._folder / name, text + "\n")
        self._written = time.monotonic()


def read_state(path: Path) -> RunState | None:
    """The content of a state file. A damaged file gives a warning and None, since no item depends on it."""
    try:
        return TypeAdapter(RunState).validate_json(path.read_bytes())
    except ValidationError as error:
        log.warning("%s is damaged, and passed over: %s", path, first_problem(error))
        return None


def prune_states(workspace: Workspace, keep: int, days: float) -> None:
    """Remove the state files of runs beyond the last `keep`, or older than `days` days.

    The catalog keeps the rows of these runs.
    """
    oldest = f"{datetime.now(UTC) - timedelta(days=days):%Y%m%dT%H%M%SZ}"
    paths = sorted(workspace.state.glob("[0-9]*.json"))
    for place, path in enumerate(paths, 1):
        if place <= len(paths) - keep or path.name < oldest:
            path.unlink()


def read_states(workspace: Workspace) -> list[RunState]:
    """The states of all runs with a state file, oldest first."""
    found = (read_state(path) for path in sorted(workspace.state.glob("[0-9]*.json")))
    return [state for state in found if state is not None]


def last_state(workspace: Workspace) -> RunState | None:
    """The state of the running or last run; None before the first run."""
    current = workspace.state / "current.json"
    if not current.exists():
        return None
    return read_state(current) or next(reversed(read_states(workspace)), None)


def has_died(workspace: Workspace, state: RunState) -> bool:
    """Whether a run recorded as running was killed: its process does not hold the workspace's lock."""
    if state.state != "running":
        return False
    holder = lock_holder(workspace)
    return holder is None or holder.get("pid", state.pid) != state.pid
