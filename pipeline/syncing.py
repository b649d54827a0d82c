"""Synchronizes a workspace with its copy in a bucket: sessions of commands, push, pull and status by hand."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..catalog import maintenance
from ..catalog.connection import write_catalog
from ..catalog.segment_files import BadSegment, inspect
from ..core.errors import CatalogUnreadable, CatalogVersionError, ConfigError
from ..core.workspace import Workspace
from ..storage.connection import Connection, connect, take_lease
from ..storage.interruption import InterruptionWatch
from ..storage.lease import is_free, read_lease
from ..storage.local_files import is_segment
from ..storage.puller import Comparison, Diverged, Pulled, Puller, check_relation, compare
from ..storage.pusher import PushCount, Pusher, SegmentFacts, copy_catalog
from ..storage.remote_log import Latest, RemoteState
from ..storage.session import SyncSession
from ..storage.sync_options import SyncOptions
from .ingest_options import IngestOptions
from .segment_store import SegmentStore
from .state import new_run_id, read_states

log = logging.getLogger("derlem.sync")

TAKEDOWNS = ("withdraw", "amend")
"""Kinds of segments that contain rows of withdrawn and purged items."""


@dataclass(frozen=True, slots=True)
class PullPlan:
    """A pull: the state to restore, its differences from the workspace, and whether it is an earlier one."""

    latest: Latest
    state: RemoteState
    found: Comparison
    files: int
    bytes: int
    label: str | None


def describe(path: Path) -> SegmentFacts | None:
    """Kind and run of a segment's rows; None for damaged rows, or samples of another size."""
    try:
        found = inspect(Workspace(path.parents[2]), path)
    except BadSegment:
        return None
    return SegmentFacts(found.kind, found.run)


@contextmanager
def syncing(
    workspace: Workspace,
    options: SyncOptions,
    command: str,
    restore: maintenance.Restore,
    wait: float = 0.0,
) -> Iterator[SyncSession]:
    """Hold the lease and push commits during the block; first pull what the copy has and the workspace lacks.

    Raises LeaseHeld, Diverged, Detached; Fenced if another instance takes over; NotPushed if the last push
    fails. The caller holds the workspace's lock.
    """
    with connect(workspace, options) as connection:
        lease = take_lease(connection, command, wait)
        watch = InterruptionWatch() if options.interruption_notice else None
        try:
            pusher = _caught_up(connection, lease.generation, restore)
            session = SyncSession(connection, lease, pusher)
            try:
                yield session
            except BaseException as error:
                session.close(interrupted=isinstance(error, KeyboardInterrupt))
                raise
            session.close(interrupted=False)
        finally:
            if watch is not None:
                watch.close()
            lease.release()


def _caught_up(connection: Connection, generation: int, restore: maintenance.Restore) -> Pusher:
    """Take over the copy, pull what the workspace lacks, and return a pusher."""
    workspace, index = connection.workspace, connection.index
    latest = connection.remote.take_over(generation)
    state = connection.remote.read_state(latest)
    found = compare(workspace, index, state, describe)
    place = connection.bucket.place
    if check_relation(place, index, latest, state, found):
        newer = index.remote_id != latest.id or index.commit < latest.commit
        log.info("%s is ahead: pulling %d files", place, len(found.remote_only))
        _pull(connection, state, latest, found, restore, texts=newer)
    index.record(latest.id, latest.commit)
    return Pusher(
        workspace, connection.options, connection.remote, connection.transfers, index, describe, latest, state
    )


def _pull(
    connection: Connection,
    state: RemoteState,
    latest: Latest,
    found: Comparison,
    restore: maintenance.Restore,
    *,
    texts: bool = True,
) -> Pulled:
    """Download files and bring the catalog to them; damaged segments and the older forms are replaced."""
    workspace = connection.workspace
    for path in found.damaged:
        (workspace.root / path).unlink()
    puller = Puller(workspace, connection.options, connection.transfers, connection.index)
    pulled = puller.pull(state, latest.snapshots, newer=texts)
    if any(is_segment(path) for path in state.files):
        restore_catalog(workspace, restore)
    return pulled


def restore_catalog(workspace: Workspace, restore: maintenance.Restore) -> None:
    """Bring the catalog to the segments and texts of the workspace; build a missing one."""
    runs = [asdict(state) for state in read_states(workspace)]
    if workspace.catalog.exists():
        try:
            maintenance.catch_up(workspace, runs, restore)
            return
        except (CatalogUnreadable, CatalogVersionError) as error:
            log.warning("the catalog is built from the segments: %s", error)
            workspace.catalog.unlink()
    maintenance.rebuild(workspace, runs, restore)


def push(
    workspace: Workspace, options: SyncOptions, command: str, restore: maintenance.Restore, wait: float
) -> tuple[PushCount, int]:
    """Push everything now; returns the counts and the copy's last commit. The caller holds the lock."""
    with connect(workspace, options) as connection:
        lease = take_lease(connection, command, wait)
        try:
            pusher = _caught_up(connection, lease.generation, restore)
            pusher.push_segments()
            pusher.push_extras()
            if (pusher.snapshot_due or pusher.snapshot_missing) and (
                copy := copy_catalog(workspace)
            ) is not None:
                try:
                    pusher.push_snapshot(copy)
                finally:
                    copy.unlink(missing_ok=True)
            return pusher.count, pusher.latest.commit
        finally:
            lease.release()


def plan_push(workspace: Workspace, options: SyncOptions) -> tuple[PushCount, int]:
    """What `push` would upload, without the catalog's copy and the ledger; writes nothing."""
    with connect(workspace, options, keep_index=False) as connection:
        latest = connection.remote.read_latest()
        state = RemoteState() if latest is None else connection.remote.read_state(latest)
        found = compare(workspace, connection.index, state, describe)
        if latest is not None:
            check_relation(connection.bucket.place, connection.index, latest, state, found)
        paths = (*found.local_only, *found.differing)
        size = sum((workspace.root / path).stat().st_size for path in paths)
        return PushCount(len(paths), size), state.commit


def pull(
    workspace: Workspace,
    options: SyncOptions,
    restore: maintenance.Restore,
    *,
    at: str | None,
    discard: bool,
    dry_run: bool,
) -> tuple[PullPlan, Pulled | None]:
    """Bring the workspace to the newest state of the copy, or to the state at a time or the end of a run.

    Withdrawals after that state are kept. Raises Diverged if segments are local only, unless `discard`.
    The caller holds the lock unless this is a dry run.
    """
    with connect(workspace, options, keep_index=not dry_run) as connection:
        place, index = connection.bucket.place, connection.index
        latest = connection.remote.read_latest()
        if latest is None:
            raise ConfigError(f"{place}: nothing was pushed there yet", key="sync.url")
        newest = connection.remote.read_state(latest)
        number, label = _chosen_commit(connection, latest, newest, at)
        state = newest if label is None else _earlier_state(connection, latest, newest, number)
        found = compare(workspace, index, state, describe)
        puller = Puller(workspace, options, connection.transfers, index)
        wanted = puller.wanted(state)
        if not discard:
            if label is None:
                check_relation(place, index, latest, state, found)
            elif found.local_only or workspace.catalog.exists():
                raise Diverged(place, "an earlier state is restored into an empty workspace only")
        plan = PullPlan(latest, state, found, len(wanted), sum(file.size for file in wanted), label)
        if dry_run:
            return plan, None
        if discard:
            index.record("", 0)  # an interrupted pull compares everything again
            puller.discard(state.files.keys())
        ahead = index.remote_id == latest.id and index.commit == latest.commit and not discard
        pulled = _pull(connection, state, latest, found, restore, texts=not ahead)
        if label is not None:
            later = [
                file
                for file in newest.files.values()
                if file.commit > number and file.kind in TAKEDOWNS and file.path.endswith(".parquet")
            ]
            _keep_takedowns(connection, later)
        index.record(latest.id, state.commit, label or "")
        return plan, pulled


@dataclass(frozen=True, slots=True)
class CopyStatus:
    """The copy, its differences from the workspace, and the holder of its lease, if there is one."""

    latest: Latest | None
    held: int
    detached: str | None
    found: Comparison
    lag: float | None
    holder: dict[str, Any] | None


def status(workspace: Workspace, options: SyncOptions) -> CopyStatus:
    """Compare workspace and copy; writes nothing."""
    with connect(workspace, options, keep_index=False) as connection:
        latest = connection.remote.read_latest()
        state = RemoteState() if latest is None else connection.remote.read_state(latest)
        found = compare(workspace, connection.index, state, describe)
        lease = read_lease(connection.bucket)
        holder = None if lease is None or is_free(lease[0], lease[1].age) else lease[0].holder
        waiting = [workspace.root / path for path in (*found.local_only, *found.differing)]
        ages = [time.time() - path.stat().st_mtime for path in waiting if path.exists()]
        index = connection.index
        known = latest is not None and index.remote_id == latest.id
        return CopyStatus(
            latest, index.commit if known else 0, index.detached, found, max(ages, default=None), holder
        )


def _chosen_commit(
    connection: Connection, latest: Latest, newest: RemoteState, at: str | None
) -> tuple[int, str | None]:
    if at is None:
        return latest.commit, None
    if at in newest.runs:
        return newest.runs[at], f"run {at}"
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        known = ", ".join(sorted(newest.runs)[-5:])
        raise ConfigError(
            f"--at {at}: neither a time such as 2026-11-30T12:00 nor a run (last runs: {known})"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    number = connection.remote.commit_before(latest, moment)
    if not number:
        raise ConfigError(f"--at {at}: there is no commit before that time")
    return number, f"commit {number}, of {moment.isoformat()}"


def _earlier_state(connection: Connection, latest: Latest, newest: RemoteState, number: int) -> RemoteState:
    """The state after commit `number`, with segments in their newest form: what was purged stays purged."""
    earlier = connection.remote.read_state_at(latest, number)
    files = {path: file for path, file in newest.files.items() if is_segment(path) and file.commit <= number}
    return RemoteState(number, files, earlier.texts, earlier.runs)


def _keep_takedowns(connection: Connection, later: Sequence[Any]) -> None:
    """Add the rows of withdrawn items from later segments, as segments that follow the restored ones."""
    workspace = connection.workspace
    store = SegmentStore(workspace, IngestOptions())
    with write_catalog(workspace) as catalog:
        store.recover(catalog)
    for file in sorted(later, key=lambda each: each.path):
        temporary = workspace.root / ".later.parquet.tmp"
        try:
            connection.transfers.download(file.name, temporary, file.sha256, file.size)
            rows = pq.read_table(temporary)
        finally:
            temporary.unlink(missing_ok=True)
        withdrawn = rows.filter(pc.equal(rows.column("status"), "withdrawn"))
        if withdrawn.num_rows:
            source = file.path.split("/")[1]
            (workspace.store / source).mkdir(parents=True, exist_ok=True)
            plain: pa.Table = withdrawn.replace_schema_metadata(None)
            store.write_rows(source, "withdraw", new_run_id(), plain)
    store.commit()
