"""Runs tasks on worker processes of this machine, and limits the loss of a worker to one item."""

from __future__ import annotations

import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from ...catalog.status import Reason, Status
from ...core.errors import DerlemError
from ...core.log_context import log_forwarded, log_levels
from ...core.masking import known_secrets
from ...core.processes import WorkerContext, WorkerProcess
from ...core.signals import defer_signals
from ..row_set import RowSet
from ..segment_writer import WrittenSegment
from ..tasks import Job, Report, Task
from .fork_server import warm_up
from .local_worker import work

log = logging.getLogger("derlem.pipeline")

POLL = 0.5
"""Seconds between checks of the workers' deadlines."""

MAX_GAP = 4 * POLL
"""Maximum seconds counted per check, so that a suspended machine or process group exceeds no deadline."""

STALL_FACTOR = 2
"""A read that yields nothing for this many item deadlines counts as a hang."""

START_SECONDS = 120.0
"""Seconds in which a worker must start an assigned task."""

SHUTDOWN_GRACE = 5.0
"""Seconds for workers to complete their open segments after an interrupt."""

MAX_FAILED_STARTS = 4
"""Maximum number of consecutive workers that end before the start of their task."""

MAX_CONSECUTIVE_ERRORS = 30
"""Number of consecutive unexpected errors, without an outcome in between, that ends the run.

The number exceeds the steps that narrow a task of a million items down to one item.
"""


class SharedGuard:
    """A worker's present step in shared memory, readable by the coordinator after the worker's end."""

    def __init__(self, context: WorkerContext) -> None:
        self._item = context.RawArray("c", 33)
        self._since = context.RawValue("d", 0.0)
        self._ending = context.RawValue("b", 0)

    def begin(self, item_id: str) -> None:
        """Mark the start of decoding the item."""
        self._item.value = item_id.encode()
        self._since.value = time.monotonic()

    def waiting(self) -> None:
        """Mark that the adapter is reading."""
        self._item.value = b""
        self._since.value = time.monotonic()

    def idle(self) -> None:
        """Mark that no task has started."""
        self._item.value = b""
        self._since.value = 0.0

    def end(self) -> None:
        """Request that the worker completes its open segment and stops its task."""
        self._ending.value = 1

    @property
    def ending(self) -> bool:
        """Whether the worker should complete its open segment and stop its task."""
        return bool(self._ending.value)

    @property
    def item_id(self) -> str:
        """The id of the item being decoded, or ''."""
        return bytes(self._item.value).decode()

    @property
    def step(self) -> float:
        """The start time of the present step, which identifies the step; 0 before the start of a task."""
        since: float = self._since.value
        return since


class WorkerError(DerlemError):
    """An error in a worker that ends the run, with a message for the user."""

    def __init__(self, message: str, exit_code: int = DerlemError.exit_code) -> None:
        self.exit_code = exit_code
        super().__init__(message)


@dataclass(slots=True)
class Worker:
    """The coordinator's state of a worker process.

    `step` is the step that the guard showed last, and `seconds` its duration as measured by the coordinator.
    `verdict` is the reason for which the coordinator killed the worker. `gone` is True after the worker's
    last message.
    """

    process: WorkerProcess
    connection: Connection
    guard: SharedGuard
    task: Task | None = None
    done: RowSet = field(default_factory=RowSet)
    step: float = 0.0
    seconds: float = 0.0
    verdict: Reason | None = None
    gone: bool = False


class LocalExecutor:
    """Worker processes on this machine, as an `Executor`.

    Workers end when the executor is closed or this process ends.
    """

    def __init__(self, job: Job, report: Report, clock: Callable[[], float] = time.monotonic) -> None:
        self._job, self._report, self._clock = job, report, clock
        self._context = WorkerContext()
        self._workers: dict[int, Worker] = {}
        self.worker_memory_peak = 0
        self.workers_lost = 0
        self._failed_starts = 0
        self._errors = 0
        self._checked = clock()
        self._receiving: Connection | None = None

    def __enter__(self) -> LocalExecutor:
        warm_up(())  # without effect if the command has already started the fork server
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            self._end(worker)
        self._workers.clear()

    def start(self, items: int) -> None:
        """Start workers for that many items before their tasks are planned, to hide the start-up time."""
        for slot in range(min(self._job.ingest.workers, items)):
            if slot not in self._workers:
                self._workers[slot] = self._start()

    def run(self, tasks: Iterable[Task]) -> Iterator[WrittenSegment]:
        """Run all tasks and yield complete segments, in no particular order."""
        slots = range(self._job.ingest.workers)
        shared: deque[Task] = deque()
        pinned: dict[int, deque[Task]] = {slot: deque() for slot in slots}
        for task in tasks:
            _queue(task, shared, pinned).append(task)
        while True:
            for slot in slots:
                worker = self._workers.get(slot)
                if worker is None or worker.task is None:
                    queue = pinned[slot] or shared
                    if queue:
                        self._give(slot, queue.popleft())
            busy = [worker for worker in self._workers.values() if worker.task is not None]
            if not busy:
                return
            yield from self._receive(busy, POLL)
            self.check_deadlines(busy)
            for slot, worker in list(self._workers.items()):
                if worker.gone:
                    del self._workers[slot]
                    self._end(worker)
                    for task in self.remaining(worker, worker.process.exitcode):
                        _queue(task, shared, pinned).appendleft(task)

    def drain(self) -> Iterator[WrittenSegment]:
        """After an interrupt of `run`, yield the open segments that workers complete in time."""
        # a partly received message leaves its connection unreadable
        readable = [each for each in self._workers.values() if each.connection is not self._receiving]
        for worker in readable:
            worker.guard.end()
        deadline = self._clock() + SHUTDOWN_GRACE
        while busy := [each for each in readable if each.task is not None and not each.gone]:
            left = deadline - self._clock()
            if left <= 0:
                return
            yield from self._receive(busy, left)

    def _give(self, slot: int, task: Task) -> None:
        if slot not in self._workers:
            self._workers[slot] = self._start()
        worker = self._workers[slot]
        worker.task, worker.done = task, RowSet(task.start) if task.done is None else task.done.copy()
        worker.guard.idle()  # a loss during the start of a process is attributed to no item
        worker.step = worker.seconds = 0.0
        with suppress(BrokenPipeError, ConnectionResetError):  # `_receive` handles the worker's end
            worker.connection.send(task)

    def _start(self) -> Worker:
        ours, theirs = self._context.Pipe()
        guard = SharedGuard(self._context)
        arguments = theirs, guard, self._job, log_levels(), known_secrets()
        process = self._context.Process(target=work, args=arguments, daemon=True, name="derlem-worker")
        with defer_signals():  # an interrupted start prints a traceback in the child
            process.start()
        theirs.close()
        return Worker(process, ours, guard)

    def _receive(self, busy: list[Worker], seconds: float) -> Iterator[WrittenSegment]:
        """Handle the messages received within the time; a worker's last message is handled before its end."""
        by_connection = {worker.connection: worker for worker in busy}
        for connection in wait(list(by_connection), timeout=seconds):
            assert isinstance(connection, Connection)
            worker = by_connection[connection]
            self._receiving = connection
            try:
                message: tuple[Any, ...] = connection.recv()
            except (EOFError, ConnectionResetError):
                worker.gone = True
                continue
            self._receiving = None
            match message:
                case ("segment", WrittenSegment() as segment, recorded, peak):
                    worker.done.update(recorded)
                    if segment.statuses.keys() - {Status.FAILED}:
                        self._errors = 0
                    self.worker_memory_peak = max(self.worker_memory_peak, peak)
                    yield segment
                case ("log", record):
                    log_forwarded(record)
                case ("kept", counts):
                    self._report(counts)
                case ("done", peak):
                    self.worker_memory_peak = max(self.worker_memory_peak, peak)
                    worker.task = None
                    worker.guard.idle()
                case ("error", trace):
                    self._count_error(worker, trace)
                case ("fatal", text, exit_code):
                    raise WorkerError(text, exit_code)

    def _count_error(self, worker: Worker, trace: str) -> None:
        source = worker.task and worker.task.source.name
        last = trace.splitlines()[-1]
        log.error("reading %s failed: %s", source, last, extra={"source": source, "trace": trace})
        worker.verdict = Reason.READ_ERROR
        worker.process.kill()
        self._errors += 1
        if self._errors >= MAX_CONSECUTIVE_ERRORS:
            raise WorkerError(
                f"{MAX_CONSECUTIVE_ERRORS} unexpected errors in a row without an outcome in between; "
                f"the last: {last} (logs/pipeline.log has them all)"
            )

    def check_deadlines(self, busy: Iterable[Worker]) -> None:
        """Kill workers whose present step exceeds its deadline.

        The duration of a step is a sum of intervals between checks, each limited to MAX_GAP, so that a
        suspension or a long commit of this process does not exceed a deadline.
        """
        now = self._clock()
        gap, self._checked = min(now - self._checked, MAX_GAP), now
        for worker in busy:
            if worker.task is None or worker.verdict is not None:
                continue
            if worker.guard.step != worker.step:
                worker.step, worker.seconds = worker.guard.step, 0.0
                continue
            worker.seconds += gap
            if worker.seconds > self._deadline(worker, worker.task):
                worker.verdict = Reason.DEADLINE
                worker.process.kill()

    def _deadline(self, worker: Worker, task: Task) -> float:
        """The deadline of the worker's present step in seconds."""
        if not worker.step:
            return START_SECONDS
        if worker.guard.item_id:
            return self._job.ingest.deadline
        return float("inf") if task.no_read_deadline else self._job.ingest.deadline * STALL_FACTOR

    def remaining(self, worker: Worker, exit_code: int | None) -> list[Task]:
        """The tasks that replace a lost worker's task: all items except the item that caused the loss.

        If a worker was killed, or suspended beyond a deadline, its item need not be the cause, and is tried
        once more, alone. If a worker was lost in a read, the item is unknown, and halves of the task narrow
        the item down.
        """
        task = worker.task
        if task is None:
            return []
        self.workers_lost += 1
        self._failed_starts = 0 if worker.guard.step else self._failed_starts + 1
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise WorkerError(
                f"{MAX_FAILED_STARTS} worker processes in a row ended before they began their task "
                f"(exit code {exit_code}); is `ingest.memory_limit` too small, or the system's limit?"
            )
        rest = replace(task, done=worker.done or None)
        if exit_code == -signal.SIGTERM or not worker.guard.step:  # no decoder ends a process this way
            log.warning(
                "a worker was ended from outside, or before it began; its task starts again",
                extra={"source": task.source.name},
            )
            return [rest]
        killed = Reason.WORKER_KILLED if exit_code == -signal.SIGKILL else Reason.DECODER_CRASH
        reason = worker.verdict or killed
        culprit = worker.guard.item_id
        where = f"item {culprit}" if culprit else f"a read of {task.source.name}"
        log.warning(
            "lost a worker (exit code %s) on %s: %s",
            exit_code,
            where,
            reason,
            extra={"source": task.source.name},
        )
        if culprit and task.only is None and reason in (Reason.WORKER_KILLED, Reason.DEADLINE):
            alone = replace(task, only=culprit)
            return [replace(rest, skip=rest.skip | {culprit}), alone]
        if culprit:
            return [replace(rest, crashed={**task.crashed, culprit: reason})]
        if task.only is not None or task.stop - task.start == 1:
            return [replace(rest, task_failure=reason)]
        middle = (task.start + task.stop) // 2
        return [replace(rest, start=middle), replace(rest, stop=middle)]

    def _end(self, worker: Worker) -> None:
        worker.process.kill()
        worker.process.join()  # before the connection is closed, since the worker would print a traceback
        worker.connection.close()


def _queue(task: Task, shared: deque[Task], pinned: dict[int, deque[Task]]) -> deque[Task]:
    return shared if task.partition is None else pinned[task.partition]
