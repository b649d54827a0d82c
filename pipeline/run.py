"""Starts and ends a run: its state file, recovery of a killed predecessor, its row in the catalog."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import duckdb

from ..catalog.connection import read_catalog, write_catalog
from ..catalog.models import now
from ..catalog.runs import record_run
from ..catalog.sources import Declared, declare_sources, mark_listed, provenance
from ..core.durable import replace_file
from ..core.errors import CatalogMissing
from ..core.progress import Progress, Silent
from ..core.workspace import Workspace
from .ingest_options import IngestOptions
from .segment_store import SegmentStore
from .state import RunState, StateFile, last_state, new_run_id

log = logging.getLogger("derlem.pipeline")


@dataclass(frozen=True, slots=True)
class RunScope:
    """The objects that the stages of a run share."""

    workspace: Workspace
    run: str
    store: SegmentStore
    state: StateFile
    progress: Progress


@contextmanager
def start_run(
    workspace: Workspace,
    command: str,
    config_hash: str,
    ingest: IngestOptions,
    progress: Progress | None = None,
) -> Iterator[RunScope]:
    """Start a run that ends with the block as done, failed or interrupted.

    Complete segments of a killed run are merged first. The caller holds the workspace's lock.
    """
    _close_killed_run(workspace)
    for leftover in workspace.state.glob("plan-*.parquet"):
        leftover.unlink()
    state = StateFile(workspace, RunState(run=new_run_id(), command=command, config_hash=config_hash))
    log.info("run %s: started (%s)", state.state.run, command)
    store = SegmentStore(workspace, ingest)
    try:
        with write_catalog(workspace) as connection:
            store.recover(connection)
            record_run(connection, asdict(state.state))
        yield RunScope(workspace, state.state.run, store, state, progress or Silent())
    except BaseException as error:
        store.tidy()  # on a full disk, the following writes need the space
        ended = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        if ended == "failed":
            state.state.error = f"{type(error).__name__}: {error}"
        why = state.state.error or "by a signal"  # for the log: the caller shows it
        log.info("run %s: %s in stage %r: %s", state.state.run, ended, state.state.stage, why)
        state.finish(ended)
        _record(workspace, state)
        raise
    state.finish("done")
    log.info("run %s: done", state.state.run)
    _record(workspace, state)


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


def _record(workspace: Workspace, state: StateFile) -> None:
    with write_catalog(workspace) as connection:
        record_run(connection, asdict(state.state))


def _recorded_state(workspace: Workspace, run: str) -> str | None:
    """The run's state in the catalog. Raises CatalogMissing."""
    with read_catalog(workspace) as connection:
        found = connection.execute("SELECT state FROM runs WHERE run = ?", [run]).fetchall()
    return found[0][0] if found else None


def _close_killed_run(workspace: Workspace) -> None:
    """Record a killed run as interrupted, in its state files and in the catalog.

    Only the last run can be affected: one instance runs at a time, and each run closes its predecessor.
    """
    last = last_state(workspace)
    if last is None:
        return
    killed = last.state == "running"
    if killed:
        last.state, last.finished_at = "interrupted", now().isoformat()
    else:
        try:
            if _recorded_state(workspace, last.run) == last.state:
                return
        except CatalogMissing:
            return
    with write_catalog(workspace) as connection:
        record_run(connection, asdict(last))
    if killed:  # otherwise the kill came between the writes of the last state and the row in the catalog
        StateFile(workspace, last)
        log.info("run %s had been killed", last.run)
