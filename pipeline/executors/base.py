"""Defines the interface of executors and opens the executor of a stage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from ..segment_writer import WrittenSegment
from ..tasks import Job, Report, Task


class Executor(Protocol):
    """Runs tasks through `worker.ingest_task` in other processes, local or remote."""

    worker_memory_peak: int
    """Largest resident set of any worker so far, in bytes."""
    workers_lost: int
    """Workers that crashed, were killed or exceeded a deadline so far."""

    def start(self, items: int) -> None:
        """Start workers for that many items ahead of their tasks."""

    def run(self, tasks: Iterable[Task]) -> Iterator[WrittenSegment]:
        """Run all tasks and yield complete segments, in no particular order.

        The loss of a worker affects only the item that the worker was processing.
        """

    def drain(self) -> Iterator[WrittenSegment]:
        """After an interrupt of `run`, yield the open segments that workers complete in time."""


def open_executor(job: Job, report: Report = lambda _: None) -> AbstractContextManager[Executor]:
    """The executor of a stage. `report` receives the numbers of items that a refresh left unchanged."""
    from .local import LocalExecutor

    return LocalExecutor(job, report)
