"""Runs a function on many tasks in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from .errors import DerlemError
from .processes import WorkerContext, exit_with_parent

T = TypeVar("T")
R = TypeVar("R")


class WorkerLost(DerlemError):
    """A worker process ended during its task, for instance for lack of memory."""


def map_in_workers(work: Callable[[T], R], tasks: Iterable[T], workers: int) -> Iterator[R]:
    """Yield the results of `work` on every task, in the order of completion.

    Workers import the module of `work`, which must not be `__main__`.

    All tasks are taken from the iterable before the first result, while workers already run. A single
    worker is this process. Raises the exceptions of `work`, and WorkerLost for a killed worker.
    """
    if workers <= 1:
        for task in list(tasks):
            yield work(task)
        return
    with ProcessPoolExecutor(workers, mp_context=WorkerContext(), initializer=exit_with_parent) as pool:
        futures: list[Future[R]] = []
        try:
            futures.extend(pool.submit(work, task) for task in tasks)
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise WorkerLost(
                "a worker process was killed, perhaps by the system for want of memory; "
                "what is finished is kept, and the same command goes on"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
