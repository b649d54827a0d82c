"""Decisions of the local executor about workers, tested with a fake clock and without processes."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from derlem.adapters.base import Context, SourceOptions
from derlem.catalog.segments import row_schema
from derlem.catalog.status import Reason
from derlem.core.processes import WorkerContext
from derlem.core.workspace import Workspace
from derlem.media.media_options import MediaOptions
from derlem.pipeline.executors.local import (
    MAX_FAILED_STARTS,
    MAX_GAP,
    START_SECONDS,
    LocalExecutor,
    SharedGuard,
    Worker,
    WorkerError,
)
from derlem.pipeline.ingest_options import IngestOptions
from derlem.pipeline.row_set import RowSet
from derlem.pipeline.tasks import Job, Task

ITEM = "0" * 32
SOURCE = SourceOptions(name="s", adapter="files", license="MIT")
TASK = Task(SOURCE, Path("plan.parquet"), 0, 8)


class FakeClock:
    """A clock that advances only when set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeProcess:
    """A process that records whether it was killed."""

    killed = False
    exitcode = None

    def kill(self) -> None:
        self.killed = True


@dataclass
class Watched:
    """An executor and one of its workers, which processes TASK."""

    executor: LocalExecutor
    clock: FakeClock
    worker: Worker

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Advance the clock in steps, with a check of the deadlines after each step."""
        for _ in range(round(seconds / step)):
            self.clock.now += step
            self.executor.check_deadlines([self.worker])


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    clock = FakeClock()
    ingest = IngestOptions(workers=1, deadline=10)
    job = Job("r", Context(Workspace(tmp_path)), MediaOptions(), ingest, row_schema(), {})
    executor = LocalExecutor(job, lambda _: None, clock)
    guard = SharedGuard(WorkerContext())
    worker = Worker(FakeProcess(), None, guard, task=TASK)  # type: ignore[arg-type]
    return Watched(executor, clock, worker)


def test_an_item_may_take_its_deadline(watched: Watched) -> None:
    watched.worker.guard.begin(ITEM)
    watched.pass_time(10)
    assert watched.worker.verdict is None
    watched.pass_time(1.5)
    assert watched.worker.verdict is Reason.DEADLINE
    assert watched.worker.process.killed


def test_every_item_has_a_deadline_of_its_own(watched: Watched) -> None:
    for number in range(5):
        watched.worker.guard.begin(f"{number:032}")
        watched.pass_time(8)
    assert watched.worker.verdict is None


def test_a_read_may_take_twice_the_deadline(watched: Watched) -> None:
    watched.worker.guard.waiting()
    watched.pass_time(20)
    assert watched.worker.verdict is None
    watched.pass_time(1.5)
    assert watched.worker.verdict is Reason.DEADLINE


def test_a_suspended_machine_exceeds_no_deadline(watched: Watched) -> None:
    watched.worker.guard.begin(ITEM)
    watched.pass_time(2)
    watched.pass_time(3600, step=3600)
    assert watched.worker.verdict is None
    watched.pass_time(10 - 2 - MAX_GAP - 1)
    assert watched.worker.verdict is None


def test_a_worker_that_never_starts_its_task_is_killed(watched: Watched) -> None:
    watched.worker.guard.idle()
    watched.pass_time(START_SECONDS)
    assert watched.worker.verdict is None
    watched.pass_time(1)
    assert watched.worker.verdict is Reason.DEADLINE
    assert watched.executor.remaining(watched.worker, -signal.SIGKILL) == [TASK]
    for _ in range(MAX_FAILED_STARTS - 2):
        watched.executor.remaining(watched.worker, -signal.SIGKILL)
    with pytest.raises(WorkerError, match="memory_limit"):
        watched.executor.remaining(watched.worker, -signal.SIGKILL)


def test_a_crash_is_attributed_to_its_item_at_once(watched: Watched) -> None:
    watched.worker.guard.begin(ITEM)
    watched.worker.done.update([3])
    [rest] = watched.executor.remaining(watched.worker, -signal.SIGSEGV)
    assert rest.crashed == {ITEM: Reason.DECODER_CRASH} and not rest.skip
    assert rest.done is not None and 3 in rest.done and 4 not in rest.done


@pytest.mark.parametrize(
    ("verdict", "reason"), [(None, Reason.WORKER_KILLED), (Reason.DEADLINE, Reason.DEADLINE)]
)
def test_a_killed_worker_s_item_is_tried_again_alone(
    watched: Watched, verdict: Reason | None, reason: Reason
) -> None:
    watched.worker.guard.begin(ITEM)
    watched.worker.done.update([3])
    watched.worker.verdict = verdict
    rest, alone = watched.executor.remaining(watched.worker, -signal.SIGKILL)
    assert rest.skip == {ITEM} and not rest.crashed
    assert rest.done is not None and 3 in rest.done
    assert alone.only == ITEM and not alone.crashed

    watched.worker.task, watched.worker.done = alone, RowSet()
    [last] = watched.executor.remaining(watched.worker, -signal.SIGKILL)
    assert last.only == ITEM and last.crashed == {ITEM: reason}


def test_a_loss_in_a_read_is_narrowed_down_to_one_item(watched: Watched) -> None:
    tasks = [TASK]
    for size in (4, 2, 1):
        watched.worker.guard.waiting()
        watched.worker.task = tasks[0]
        tasks = watched.executor.remaining(watched.worker, -signal.SIGSEGV)
        assert [task.stop - task.start for task in tasks] == [size, size]
    watched.worker.task = tasks[0]
    [last] = watched.executor.remaining(watched.worker, -signal.SIGSEGV)
    assert last.task_failure is Reason.DECODER_CRASH


def test_a_worker_ended_by_another_process_affects_no_item(watched: Watched) -> None:
    watched.worker.guard.begin(ITEM)
    assert watched.executor.remaining(watched.worker, -signal.SIGTERM) == [TASK]
