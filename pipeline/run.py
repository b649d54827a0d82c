"""Starts and ends a run: its state file, recovery of a killed predecessor, its row in the catalog."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from ..catalog.connection import read_catalog, write_catalog
from ..catalog.models import now
from ..catalog.runs import record_run
from ..catalog.segment_files import Segment
from ..catalog.sources import Declared, declare_sources, mark_listed, provenance
from ..core.durable import replace_file
from ..core.errors import CatalogMissing, DerlemError
from ..core.log_context import current_run, log_context
from ..core.masking import mask, mask_command
from ..core.progress import Progress, Silent
from ..core.workspace import Workspace
from .ingest_options import IngestOptions
from .leftovers import remove_leftovers, remove_spilled
from .metrics import MetricsFile
from .segment_store import SegmentStore
from .state import RecordedProgress, RunState, StateFile, last_state, new_run_id, prune_states

log = logging.getLogger("derlem.pipeline")

_SHOWN = {"shown": True}
"""Marks log records of errors that the command shows itself."""


@dataclass(frozen=True, slots=True)
class RunScope:
    """The objects that the stages of a run share."""

    workspace: Workspace
    run: str
    store: SegmentStore
    state: StateFile
    progress: Progress


@contextmanager
def logging_errors() -> Iterator[None]:
    """Log an error of the block, which ends the command before its run has begun."""
    try:
        yield
    except Exception as error:
        log.error("%s: %s", type(error).__name__, error, extra={**_SHOWN, "before_run": True})
        raise


@contextmanager
def start_run(
    workspace: Workspace,
    command: str,
    config_hash: str,
    ingest: IngestOptions,
    progress: Progress | None = None,
    after_commit: Callable[[Sequence[Segment]], None] | None = None,
    *,
    keep: int = 1000,
    days: float = 90.0,
    metrics: Path | None = None,
) -> Iterator[RunScope]:
    """Start a run that ends with the block as done, failed or interrupted.

    Complete segments of a killed run are merged first. `after_commit` receives the segments of each commit,
    when the catalog is closed. State files of `keep` runs are kept, for `days` days. `metrics` is the path of
    the metrics file, if there is one. The caller holds the workspace's lock.
    """
    run = current_run() or new_run_id()
    with log_context(run=run), logging_errors():
        remove_leftovers(workspace, killed=_close_killed_run(workspace))
        workspace.root.mkdir(parents=True, exist_ok=True)
        for folder in workspace.private:
            folder.mkdir(mode=0o700, exist_ok=True)
        command = mask_command(command)
        measured = MetricsFile(metrics)
        described = RunState(run=run, command=command, config_hash=config_hash)
        state = StateFile(workspace, described, measured.write)
        prune_states(workspace, keep, days)
    with log_context(run=run):

        def committed(connection: duckdb.DuckDBPyConnection) -> None:
            state.committed()
            measured.count(connection)

        store = SegmentStore(workspace, ingest, after_commit, committed)
        yield from _recorded(workspace, state, measured, store, progress or Silent())


def _recorded(
    workspace: Workspace, state: StateFile, metrics: MetricsFile, store: SegmentStore, progress: Progress
) -> Iterator[RunScope]:
    """Yield the scope of a run, once, and record the end of the run."""
    log.info("run %s: started (%s)", state.state.run, state.state.command)
    state.start()
    try:
        with write_catalog(workspace) as connection:
            remove_spilled(workspace)
            store.recover(connection)
            record_run(connection, asdict(state.state))
            metrics.count(connection)
        yield RunScope(workspace, state.state.run, store, state, RecordedProgress(progress, state))
    except BaseException as error:
        store.tidy()  # on a full disk, the following writes need the space
        ended = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        why = f"by {_signal_name(error)}" if ended == "interrupted" else f"{type(error).__name__}: {error}"
        state.state.error = mask(why)
        log.log(
            logging.ERROR if ended == "failed" else logging.WARNING,
            "run %s: %s in stage %r: %s",
            *(state.state.run, ended, state.state.stage, state.state.error),
            exc_info=None if ended == "interrupted" or isinstance(error, DerlemError) else error,
            extra=_SHOWN,
        )
        state.finish(ended)
        _record(workspace, state, metrics)
        raise
    state.finish("done")
    log.info("run %s: done", state.state.run)
    _record(workspace, state, metrics)


def _signal_name(error: BaseException) -> str:
    """The name of the signal whose handler raised a KeyboardInterrupt; SIGINT for one without a signal."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else signal.SIGINT
    return signal.Signals(number).name


def declare(
    workspace: Workspace, connection: duckdb.DuckDBPyConnection, declared: Sequence[Declared]
) -> None:
    """Update the registry and the provenance files to the configuration."""
    declare_sources(connection, declared)
    _write_provenance(workspace, connection)


def write_provenance(workspace: Workspace) -> None:
    """Write `provenance.json` of every registered source, with its current counts."""
    with read_catalog(workspace) as connection:
        _write_provenance(workspace, connection)


def complete_listing(workspace: Workspace, source: str, config_hash: str) -> None:
    """Record a complete listing of the source, with the hash of its declaration."""
    with write_catalog(workspace) as connection:
        mark_listed(connection, source, config_hash)
        _write_one(workspace, connection, source)


def _write_provenance(workspace: Workspace, connection: duckdb.DuckDBPyConnection) -> None:
    for (name,) in connection.execute("SELECT source FROM sources").fetchall():
        _write_one(workspace, connection, name)


def _write_one(workspace: Workspace, connection: duckdb.DuckDBPyConnection, name: str) -> None:
    folder = workspace.store / name
    folder.mkdir(parents=True, exist_ok=True)
    facts = provenance(connection, name)
    text = json.dumps(facts, ensure_ascii=False, indent=2, sort_keys=True, default=_iso)
    replace_file(folder / "provenance.json", text + "\n")


def _iso(value: object) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _record(workspace: Workspace, state: StateFile, metrics: MetricsFile) -> None:
    with write_catalog(workspace) as connection:
        record_run(connection, asdict(state.state))
        metrics.count(connection, now=True)
    metrics.write(state.state)


def _recorded_state(workspace: Workspace, run: str) -> str | None:
    """The run's state in the catalog. Raises CatalogMissing."""
    with read_catalog(workspace) as connection:
        found = connection.execute("SELECT state FROM runs WHERE run = ?", [run]).fetchall()
    return found[0][0] if found else None


def _close_killed_run(workspace: Workspace) -> bool:
    """Record a killed run as interrupted, in its state files and in the catalog; return whether there is one.

    Only the last run can be affected: one instance runs at a time, and each run closes its predecessor.
    """
    last = last_state(workspace)
    if last is None:
        return False
    killed = last.state == "running"
    if killed:
        last.state, last.finished_at = "interrupted", now().isoformat()
        last.error = "the process was killed"
    else:
        try:
            if _recorded_state(workspace, last.run) == last.state:
                return False
        except CatalogMissing:
            return False
    with write_catalog(workspace) as connection:
        record_run(connection, asdict(last))
    if killed:  # otherwise the kill came between the writes of the last state and the row in the catalog
        StateFile(workspace, last)
        log.warning("run %s was killed in stage %r", last.run, last.stage)
    return killed
