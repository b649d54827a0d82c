"""The ingest stage: reads what waits, through the workers, until nothing waits any more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ..adapters.base import SourceOptions
from ..catalog.connection import read_catalog
from ..catalog.status import Status
from .executors.local import LocalExecutor
from .job import Job
from .segment_store import SegmentStore
from .segment_writer import WrittenSegment
from .tasks import Task, plan_items, plan_pages

log = logging.getLogger("derlem.pipeline")


def ingest(
    sources: Sequence[SourceOptions],
    store: SegmentStore,
    executor: LocalExecutor,
    job: Job,
    progress: Callable[[WrittenSegment], None],
) -> None:
    """Settle every waiting item of the sources; documents first, then the pages they expand into."""
    expanded = True

    def see(segment: WrittenSegment) -> None:
        nonlocal expanded
        expanded = expanded or Status.DISCOVERED in segment.statuses
        progress(segment)

    while expanded and (tasks := plan(sources, store, job)):
        expanded = False
        carry_out(tasks, store, executor, see)


def carry_out(
    tasks: Sequence[Task],
    store: SegmentStore,
    executor: LocalExecutor,
    progress: Callable[[WrittenSegment], None],
) -> None:
    """Have the tasks done and commit their segments, by time and at the end.

    An interrupt waits for what the workers have open; a second one does not.
    """
    try:
        for segment in executor.run(tasks):
            store.adopt(segment)
            progress(segment)
            if store.due:
                store.commit(patient=False)
    except KeyboardInterrupt:
        log.info("interrupted: the workers hand over what they have done")
        for segment in executor.wind_up():
            store.adopt(segment)
            progress(segment)
        raise
    finally:
        store.commit()
        for task in tasks:
            task.plan.unlink(missing_ok=True)


def plan(sources: Sequence[SourceOptions], store: SegmentStore, job: Job) -> list[Task]:
    """Tasks for all that waits now, source by source."""
    tasks: list[Task] = []
    folder = store.workspace.state
    with read_catalog(store.workspace) as connection:
        for source in sources:
            stem = f"plan-{job.run}-{source.name}"
            tasks += plan_pages(connection, source, folder, stem, workers=job.ingest.workers)
            tasks += plan_items(
                connection,
                source,
                job.adapters[source.name].partitioning,
                folder,
                stem,
                workers=job.ingest.workers,
                batch=job.ingest.batch,
            )
    return tasks
