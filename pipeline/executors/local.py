"""Runs tasks on worker processes; a worker that dies or hangs costs the item that did it, nothing else."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import resource
import signal
import time
import traceback
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

from ...catalog.status import Reason, Status
from ...core.durable import disk_error
from ...core.errors import DerlemError
from ...core.processes import exit_with_parent
from ...core.signals import defer_signals
from ..job import Job, Tell
from ..segment_writer import WrittenSegment
from ..tasks import Task
from .fork_server import warm_up

log = logging.getLogger("derlem.pipeline")

POLL = 0.5
"""Seconds between looks at the workers' deadlines."""

STALL_FACTOR = 2
"""A read that gives nothing for this many item deadlines is taken for a hang."""

LAST_WORDS = 5.0
"""Seconds in which workers may hand over what they have done when the run is interrupted."""

FALSE_STARTS = 4
"""Workers that may end in a row without having begun their task."""

OPEN_FILES = 65_536
"""Files and connections that a worker may have open, if the system lets it."""

FRUITLESS = 30
"""Unexpected errors in a row, with nothing done in between, that are no item's but the code's.

More than it takes to narrow a task of a million items down to one.
"""


class SharedGuard:
    """A worker's present item and since when, in memory that the coordinator reads when the worker cannot."""

    def __init__(self, context: ForkServerContext) -> None:
        self._item = context.RawArray("c", 33)
        self._since = context.RawValue("d", 0.0)
        self._ending = context.RawValue("b", 0)

    def begin(self, item_id: str) -> None:
        """This item is being decoded."""
        self._item.value = item_id.encode()
        self._since.value = time.monotonic()

    def waiting(self) -> None:
        """The adapter is reading."""
        self._item.value = b""
        self._since.value = time.monotonic()

    def idle(self) -> None:
        """No task is under way."""
        self._item.value = b""
        self._since.value = 0.0

    def end(self) -> None:
        """Ask the worker to hand over what it has done."""
        self._ending.value = 1

    @property
    def ending(self) -> bool:
        """Whether the worker is asked to hand over what it has done."""
        return bool(self._ending.value)

    @property
    def item_id(self) -> str:
        """The item being decoded, or ''."""
        return bytes(self._item.value).decode()

    @property
    def seconds(self) -> float:
        """How long the present step has taken; 0 when idle."""
        since: float = self._since.value
        return time.monotonic() - since if since else 0.0


class WorkerError(DerlemError):
    """An error of a worker's that is meant for the user; it ends the run."""

    def __init__(self, message: str, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(message)


@dataclass(slots=True)
class _Worker:
    """A worker process as the coordinator sees it.

    `verdict` is set when the coordinator gives the worker's task up; `gone` once its last word is heard.
    """

    process: ForkServerProcess
    connection: Connection
    guard: SharedGuard
    task: Task | None = None
    done: set[str] = field(default_factory=set)
    verdict: Reason | None = None
    gone: bool = False


class LocalExecutor:
    """Worker processes on this machine.

    `run` yields finished segments; when it ends every task is done. Closing the executor ends the workers,
    and so does the end of this process.
    """

    def __init__(self, job: Job, tell: Tell = lambda _: None) -> None:
        """`tell` hears how many items a refresh leaves as they are, by why."""
        self._job, self._tell = job, tell
        self._context = multiprocessing.get_context("forkserver")
        self._workers: dict[int, _Worker] = {}
        self.peak_memory = 0
        """Largest resident set of any worker so far, in bytes."""
        self.deaths = 0
        """Workers lost to crashes and deadlines."""
        self._false_starts = 0
        self._fruitless = 0
        self._hearing: Connection | None = None

    def __enter__(self) -> LocalExecutor:
        warm_up(())  # commands do it long before
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            self._end(worker)
        self._workers.clear()

    def start(self, items: int) -> None:
        """Start workers for that many items ahead of their tasks: a process needs a moment to begin."""
        for slot in range(min(self._job.ingest.workers, items)):
            if slot not in self._workers:
                self._workers[slot] = self._start()

    def run(self, tasks: Iterable[Task]) -> Iterator[WrittenSegment]:
        """Run all tasks; yields segments as they are finished, in no particular order."""
        slots = range(self._job.ingest.workers)
        shared: deque[Task] = deque()
        pinned: dict[int, deque[Task]] = {slot: deque() for slot in slots}
        for task in tasks:
            _queue(task, shared, pinned).append(task)
        while True:
            for slot in slots:
                worker = self._workers.get(slot)
                if worker is None or worker.task is None:
                    mine = pinned[slot] or shared
                    if mine:
                        self._give(slot, mine.popleft())
            busy = [worker for worker in self._workers.values() if worker.task is not None]
            if not busy:
                return
            yield from self._listen(busy, POLL)
            self._enforce_deadlines(busy)
            for slot, worker in list(self._workers.items()):
                if worker.gone:
                    del self._workers[slot]
                    for task in self._after(worker):
                        _queue(task, shared, pinned).appendleft(task)

    def wind_up(self) -> Iterator[WrittenSegment]:
        """After an interrupt of `run`: the segments that workers had open, as far as they come in time."""
        # who was interrupted in mid-sentence cannot be understood any more
        open_ones = [each for each in self._workers.values() if each.connection is not self._hearing]
        for worker in open_ones:
            worker.guard.end()
        deadline = time.monotonic() + LAST_WORDS
        while busy := [each for each in open_ones if each.task is not None and not each.gone]:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            yield from self._listen(busy, left)

    def _give(self, slot: int, task: Task) -> None:
        if slot not in self._workers:
            self._workers[slot] = self._start()
        worker = self._workers[slot]
        worker.task, worker.done = task, set(task.skip)
        worker.guard.idle()  # until it begins: the start of a process is not the item's fault
        with suppress(BrokenPipeError, ConnectionResetError):  # it is gone already: `_listen` hears of it
            worker.connection.send(task)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        guard = SharedGuard(self._context)
        process = self._context.Process(
            target=_work, args=(theirs, guard, self._job), daemon=True, name="derlem-worker"
        )
        with defer_signals():  # a start that is interrupted prints a traceback in the child
            process.start()
        theirs.close()
        return _Worker(process, ours, guard)

    def _listen(self, busy: list[_Worker], seconds: float) -> Iterator[WrittenSegment]:
        """Take what the workers say within that time; a dead worker's last words come before its end."""
        by_connection = {worker.connection: worker for worker in busy}
        for connection in wait(list(by_connection), timeout=seconds):
            assert isinstance(connection, Connection)
            worker = by_connection[connection]
            self._hearing = connection
            try:
                message: tuple[Any, ...] = connection.recv()
            except (EOFError, ConnectionResetError):
                worker.gone = True
                continue
            self._hearing = None
            match message:
                case ("segment", WrittenSegment() as segment, settled, peak):
                    worker.done.update(settled)
                    if segment.statuses.keys() - {Status.FAILED}:
                        self._fruitless = 0
                    self.peak_memory = max(self.peak_memory, peak)
                    yield segment
                case ("kept", counts):
                    self._tell(counts)
                case ("done", peak):
                    self.peak_memory = max(self.peak_memory, peak)
                    worker.task = None
                    worker.guard.idle()
                case ("error", trace):
                    log.error("reading %s failed:\n%s", worker.task and worker.task.source.name, trace)
                    worker.verdict = Reason.READ_ERROR
                    worker.process.kill()
                    self._fruitless += 1
                    if self._fruitless >= FRUITLESS:
                        raise WorkerError(
                            f"{FRUITLESS} unexpected errors in a row with nothing done in between; the last: "
                            f"{trace.splitlines()[-1]} (logs/pipeline.log has them all)",
                            DerlemError.exit_code,
                        )
                case ("fatal", text, exit_code):
                    raise WorkerError(text, exit_code)

    def _enforce_deadlines(self, busy: list[_Worker]) -> None:
        for worker in busy:
            if worker.task is None or worker.verdict is not None:
                continue
            deadline = self._job.ingest.deadline
            if not worker.guard.item_id:
                deadline = float("inf") if worker.task.no_read_deadline else deadline * STALL_FACTOR
            if worker.guard.seconds > deadline:
                worker.verdict = Reason.DEADLINE
                worker.process.kill()

    def _after(self, worker: _Worker) -> list[Task]:
        """What remains to be done of a lost worker's task: all but the item that it was lost on.

        Where no item is known, because it was lost in a read, halves of the task narrow it down.
        """
        self._end(worker)
        task = worker.task
        if task is None:
            return []
        self.deaths += 1
        self._false_starts = 0 if worker.guard.seconds else self._false_starts + 1
        if self._false_starts >= FALSE_STARTS:
            raise WorkerError(
                f"{FALSE_STARTS} worker processes in a row ended before they began "
                f"(exit code {worker.process.exitcode}); is `ingest.memory_limit` too small?",
                DerlemError.exit_code,
            )
        rest = replace(task, skip=frozenset(worker.done))
        if worker.process.exitcode == -signal.SIGTERM:  # somebody wants it to end; no decoder does this
            log.warning("a worker was told to end; its task begins anew")
            return [rest]
        reason = worker.verdict or Reason.DECODER_CRASH
        culprit = worker.guard.item_id
        where = culprit or f"a read of {task.source.name}"
        log.warning("lost a worker (exit code %s) on %s: %s", worker.process.exitcode, where, reason)
        if culprit:
            return [replace(rest, settled={**task.settled, culprit: reason})]
        if task.stop - task.start == 1:
            return [replace(rest, condemned=reason)]
        middle = (task.start + task.stop) // 2
        return [replace(rest, start=middle), replace(rest, stop=middle)]

    def _end(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.join()  # a worker that finds its connection closed would tell of it in a traceback
        worker.connection.close()


def _queue(task: Task, shared: deque[Task], pinned: dict[int, deque[Task]]) -> deque[Task]:
    return shared if task.partition is None else pinned[task.partition]


def _allow_open_files() -> None:
    """As many as this process may allow itself: the usual 1024 are for programs that ask with select."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _work(connection: Connection, guard: SharedGuard, job: Job) -> None:
    """A worker's life: tasks in, segments out, until the coordinator is gone."""
    from ..worker import ingest_task  # with its decoders, of which the coordinator needs none

    exit_with_parent()  # before the limit: where memory is short, the start of a thread never returns
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator decides what an interrupt means
    limit = int(job.ingest.memory_limit)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _allow_open_files()
    gc.freeze()  # what is imported stays: collections need not look at it again and again

    def emit(segment: WrittenSegment, settled: list[str]) -> None:
        connection.send(("segment", segment, settled, _peak_memory()))

    def tell(kept: Counter[str]) -> None:
        connection.send(("kept", kept))

    while True:
        try:
            task: Task = connection.recv()
        except EOFError:
            return
        try:
            ingest_task(task, job, guard, emit, tell)
        except DerlemError as error:
            connection.send(("fatal", str(error), error.exit_code))
        except Exception as error:
            if disk := disk_error(error):
                connection.send(("fatal", str(disk), disk.exit_code))
            else:
                connection.send(("error", traceback.format_exc()))
        else:
            connection.send(("done", _peak_memory()))


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
