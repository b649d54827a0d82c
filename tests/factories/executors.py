"""An executor that runs tasks in the process of the test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from derlem.pipeline.segment_writer import WrittenSegment
from derlem.pipeline.tasks import Job, Task
from derlem.pipeline.worker import ingest_task


class InlineExecutor:
    """Runs tasks in this process, which is faster for many short runs without faults."""

    worker_memory_peak = workers_lost = 0
    ending = False

    def __init__(self, job: Job, report: object = None) -> None:
        self._job = job

    def __enter__(self) -> InlineExecutor:
        return self

    def __exit__(self, *_: object) -> None: ...

    def start(self, items: int) -> None: ...

    def begin(self, item_id: str) -> None: ...

    def waiting(self) -> None: ...

    def run(self, tasks: Iterable[Task]) -> Iterator[WrittenSegment]:
        for task in tasks:
            written: list[WrittenSegment] = []

            def emit(segment: WrittenSegment, _: list[int], to: list[WrittenSegment] = written) -> None:
                to.append(segment)

            ingest_task(task, self._job, self, emit, print)
            yield from written

    def drain(self) -> Iterator[WrittenSegment]:
        yield from ()
