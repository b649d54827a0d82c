"""Ingests pending items and refreshes ready items through the workers, and re-queues failed items."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..adapters.base import SourceOptions
from ..catalog.connection import read_catalog
from ..catalog.counts import count_items
from ..catalog.models import now
from ..catalog.queries import query
from ..catalog.segments import row_schema
from ..catalog.status import Reason, Status
from ..core.workspace import Workspace
from .executors.base import Executor
from .ingest_options import IngestOptions
from .segment_store import SegmentStore
from .segment_writer import WrittenSegment
from .tasks import Job, Task, plan_ingest, plan_refresh

log = logging.getLogger("derlem.pipeline")

Progress = Callable[[WrittenSegment], None]


def ingest(
    sources: Sequence[SourceOptions], store: SegmentStore, executor: Executor, job: Job, progress: Progress
) -> None:
    """Read every pending item of the sources: documents first, then their pages."""
    expanded = True

    def record(segment: WrittenSegment) -> None:
        nonlocal expanded
        expanded = expanded or Status.DISCOVERED in segment.statuses
        progress(segment)

    if _reread_uncached(sources, store, job.run):
        run_tasks(_plan(sources, store, job, pages=False), store, executor, record)
    while expanded:
        tasks = _plan(sources, store, job)
        if not tasks:
            return
        expanded = False
        run_tasks(tasks, store, executor, record)


def _plan(
    sources: Sequence[SourceOptions], store: SegmentStore, job: Job, *, pages: bool = True
) -> list[Task]:
    """Tasks for the sources' pending items."""
    names = _having([source.name for source in sources], Status.DISCOVERED, store.workspace)
    with read_catalog(store.workspace) as connection:
        chosen = [source for source in sources if source.name in names]
        return plan_ingest(connection, chosen, job, pages=pages)


def _reread_uncached(sources: Sequence[SourceOptions], store: SegmentStore, run: str) -> int:
    """Re-queue expanded documents that have pending pages and are no longer cached; return their number."""
    documents = 0
    names = [source.name for source in sources]
    for name in _having(names, Status.DISCOVERED, store.workspace, pages=True):
        with read_catalog(store.workspace) as connection:
            pending = connection.execute(query("segments/pending_documents"), {"source": name}).fetchall()
            lost = [document for document, digest in pending if not store.workspace.cached(digest).exists()]
            if not lost:
                continue
            parameters = {"source": name, "documents": lost, "run": run, "at": now()}
            rows = connection.execute(query("segments/reread_documents"), parameters).to_arrow_table()
        if rows.num_rows:
            log.info("%s: %d documents are no longer in the cache and are read again", name, rows.num_rows)
            store.write_rows(name, "relist", run, rows.cast(row_schema()))
            documents += rows.num_rows
    store.commit()
    return documents


def refresh(
    sources: Sequence[SourceOptions], store: SegmentStore, executor: Executor, job: Job, progress: Progress
) -> None:
    """Request every ready item of the sources again and store the images that changed.

    A new image replaces the old one. An item keeps its image if the response is not an image or is an error;
    the executor reports the number of unchanged items by cause.
    """
    with read_catalog(store.workspace) as connection:
        tasks = plan_refresh(connection, sources, job)
    run_tasks(tasks, store, executor, progress)


def run_tasks(tasks: Sequence[Task], store: SegmentStore, executor: Executor, progress: Progress) -> None:
    """Run the tasks and commit their segments, by time and at the end.

    On an interrupt, the workers complete their open segments; a second interrupt ends the run at once.
    """
    try:
        for segment in executor.run(tasks):
            store.adopt(segment)
            progress(segment)
            if store.due:
                store.commit(wait_for_readers=False)
    except KeyboardInterrupt:
        log.info("interrupted: the workers complete their open segments")
        for segment in executor.drain():
            store.adopt(segment)
            progress(segment)
        raise
    finally:
        store.commit()
        for task in tasks:
            task.plan.unlink(missing_ok=True)


def retry(sources: Sequence[str], store: SegmentStore, *, run: str, reason: Reason | None = None) -> int:
    """Re-queue the sources' failed items, of one reason if given, and return their number."""
    return _requeue(sources, store, run, {"reason": reason, "attempts": None, "wait": None})


def requeue_due(sources: Sequence[str], store: SegmentStore, options: IngestOptions, *, run: str) -> int:
    """Re-queue the failed items that are due for another attempt and return their number."""
    return _requeue(sources, store, run, {"reason": None, **_backoff(options)})


def _requeue(sources: Sequence[str], store: SegmentStore, run: str, which: Mapping[str, Any]) -> int:
    taken = 0
    for source in _having(sources, Status.FAILED, store.workspace):
        with read_catalog(store.workspace) as connection:
            parameters = {"source": source, "run": run, "at": now(), **which}
            rows = connection.execute(query("segments/retryable"), parameters).to_arrow_table()
        if rows.num_rows:
            store.write_rows(source, "retry", run, rows.cast(row_schema()))
            taken += rows.num_rows
    store.commit()
    return taken


def _having(
    sources: Sequence[str], status: Status, workspace: Workspace, *, pages: bool | None = None
) -> list[str]:
    """The sources that have items of a status."""
    with read_catalog(workspace) as connection:
        counts = count_items(connection, sources, status, pages=pages)
    return [source for source in sources if counts[source]]


def _backoff(options: IngestOptions) -> dict[str, float]:
    return {"attempts": options.attempts, "wait": options.retry_after}


def count_retryable(sources: Sequence[str], workspace: Workspace, *, reason: Reason | None = None) -> int:
    """The number of items that `retry` would re-queue; writes nothing."""
    with read_catalog(workspace) as connection:
        return sum(count_items(connection, sources, Status.FAILED, reason=reason).values())
