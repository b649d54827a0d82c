"""The refresh stage: asks again for pictures that were fetched, and takes those that have changed.

A new picture takes the place of the old one. An item whose address answers with anything else stays as it is:
a server's bad day costs nothing. The executor tells how many stayed, and why.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..adapters.base import SourceOptions
from ..catalog.connection import read_catalog
from .job import Job
from .segment_store import SegmentStore
from .tasks import Task, plan_refresh


def plan_again(sources: Sequence[SourceOptions], store: SegmentStore, job: Job) -> list[Task]:
    """Tasks that ask for every ready item of the sources, conditionally where validators are known."""
    tasks: list[Task] = []
    with read_catalog(store.workspace) as connection:
        for source in sources:
            stem = f"plan-{job.run}-{source.name}-refresh"
            folder = store.workspace.state
            tasks += plan_refresh(connection, source, folder, stem, workers=job.ingest.workers)
    return tasks
