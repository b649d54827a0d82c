"""Keeps the state of a run in a file, which is readable while the catalog is locked."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from .. import __version__
from ..catalog.models import now
from ..core.durable import DiskError, replace_file
from ..core.errors import first_problem
from ..core.progress import Progress, SourceSteps, show_detail
from ..core.signals import raise_lost_signal
from ..core.workspace import Workspace
from .lock import lock_holder

log = logging.getLogger("derlem.pipeline")

EVERY = 1.0
"""Seconds between writes of the state file."""

HEARTBEAT = 5.0
"""Seconds between writes of the state file while nothing progresses."""

RATE_SECONDS = 60.0
"""Seconds over which a rate is measured."""


@dataclass(slots=True)
class RunState:
    """The identity, progress and end of a run. Times are UTC in ISO format.

    `done` of `total` steps of the present stage are done (None: unknown), at `rate` steps per second in the
    last minute. `sources` are the steps of the stage's sources, `rejections` the last rejected items with
    their reasons. `updated_at` is the time of the last write.
    """

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
    done: int = 0
    total: int | None = None
    rate: float = 0.0
    sources: dict[str, SourceSteps] = field(default_factory=dict)
    rejections: list[str] = field(default_factory=list)
    last_commit: str | None = None
    updated_at: str = ""
    worker_memory_peak: int = 0
    worker_deaths: int = 0


def new_run_id() -> str:
    """An id that sorts by time: UTC to the second and six random hex digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


class StateFile:
    """Writes `state/<run>.json` and `state/current.json`, each replaced atomically, and calls `written` then.

    Between `start` and `finish` a thread also writes the files, every HEARTBEAT seconds: a reader sees that
    the run lives, and its rate, also while nothing progresses.
    """

    def __init__(
        self, workspace: Workspace, state: RunState, written: Callable[[RunState], None] = lambda _: None
    ) -> None:
        self.state = state
        self._call = written
        self._folder = workspace.state
        self._folder.mkdir(parents=True, exist_ok=True)
        self._written = 0.0
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._recent: deque[tuple[float, int]] = deque()
        self._thread: threading.Thread | None = None
        self.write()

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._beat, name="derlem-state", daemon=True)
        self._thread.start()

    def progress(self, done: int, total: int | None) -> None:
        """Record the progress of the present stage; `done` is 0 at its begin."""
        with self._lock:
            self.state.done, self.state.total = done, total
            if not done:
                self._recent.clear()
            at = time.monotonic()
            if not self._recent or at - self._recent[-1][0] >= EVERY:
                self._recent.append((at, done))

    def detail(self, sources: Mapping[str, SourceSteps], rejections: Sequence[str]) -> None:
        """Record the steps of the present stage's sources, and the last rejected items."""
        with self._lock:
            self.state.sources, self.state.rejections = dict(sources), list(rejections)

    def committed(self) -> None:
        """Record a commit."""
        self.state.last_commit = now().isoformat()

    def count(self, stage: str, counts: dict[str, int]) -> None:
        """Add to a stage's counts; writes the file if EVERY seconds have passed since the last write."""
        with self._lock:
            stage_counts = self.state.counts.setdefault(stage, {})
            for key, number in counts.items():
                stage_counts[key] = stage_counts.get(key, 0) + number
        if time.monotonic() - self._written >= EVERY:
            self.write()

    def enter(self, stage: str) -> None:
        """Record the start of a stage."""
        raise_lost_signal()
        self.state.stage = stage
        self.state.sources = {}
        self.progress(0, None)
        self.write()

    def finish(self, state: str) -> None:
        """Record the end of the run: done, failed or interrupted."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self.state.state, self.state.finished_at = state, now().isoformat()
        self.write()

    def write(self) -> None:
        """Write both files now."""
        with self._lock:
            self.state.rate = self._rate()
            self.state.updated_at = now().isoformat()
            text = json.dumps(asdict(self.state), indent=2, sort_keys=True)
            for name in (f"{self.state.run}.json", "current.json"):
                replace_file(self._folder / name, text + "\n")
            self._call(self.state)
            self._written = time.monotonic()

    def _rate(self) -> float:
        """Steps per second in the last RATE_SECONDS, or since the begin of the stage."""
        at = time.monotonic()
        while len(self._recent) > 1 and self._recent[1][0] <= at - RATE_SECONDS:
            self._recent.popleft()
        if not self._recent or at - self._recent[0][0] < EVERY:
            return self.state.rate if self.state.done else 0.0
        since, before = self._recent[0]
        return round((self.state.done - before) / (at - since), 3)

    def _beat(self) -> None:
        """The thread."""
        while not self._ended.wait(HEARTBEAT):
            try:
                self.write()
            except DiskError as error:  # the run itself ends when it meets the full disk
                log.debug("the state is not written: %s", error)


class RecordedProgress:
    """Passes progress on, and records it in the state of a run."""

    def __init__(self, progress: Progress, state: StateFile) -> None:
        self._progress, self._state = progress, state

    def begin(self, stage: str, total: int | None) -> None:
        """A stage begins."""
        self._state.progress(0, total)
        self._progress.begin(stage, total)

    def advance(self, stage: str, done: int, total: int | None, counts: Mapping[str, int]) -> None:
        """Steps of the stage are done."""
        self._state.progress(done, total)
        self._progress.advance(stage, done, total, counts)

    def detail(self, stage: str, sources: Mapping[str, SourceSteps], rejections: Sequence[str]) -> None:
        """Steps of sources are done."""
        self._state.detail(sources, rejections)
        show_detail(self._progress, stage, sources, rejections)

    def end(self, stage: str) -> None:
        """The stage ends."""
        self._progress.end(stage)


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
