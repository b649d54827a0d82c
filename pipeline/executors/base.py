"""The interface of executors, and the one place that chooses one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from ..segment_writer import WrittenSegment
from ..tasks import Job, Report, Task


class Executor(Protocol):
    """Runs tasks in processes of any kind, each by `worker.ingest_task`."""

    worker_memory_peak: int
    """Largest resident set of any worker so far, in bytes."""
    workers_lost: int
    """Workers that crashed, were killed or exceeded a deadline so far."""

    def start(self, items: int) -> None:
        """Start workers for that many items ahead of their tasks."""

    def run(self, tasks: Iterable[Task]) -> Iterator[WrittenSegment]:
        """Run all tasks; yields segments as they are complete, in no particular order.

        A worker that is lost costs the item that it was lost on, nothing else.
        """

    def drain(self) -> Iterator[WrittenSegment]:
        """After an interrupt of `run`: the segments that workers have open, as far as they come in time."""


def open_executor(job: Job, report: Report = lambda _: None) -> AbstractContextManager[Executor]:
    """The executor of a stage. `report` takes the counts of items that a refresh leaves as they are."""
    from .local import LocalExecutor

    return LocalExecutor(job, report)
