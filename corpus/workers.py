"""Worker processes for shards: one per core, none outlives the process that started it."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver as forkserver
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], tasks: Iterable[T], workers: int) -> Iterator[R]:
    """Do `work` on every task, in parallel; results come as they are finished.

    All tasks are taken from the iterable before the first result is given, while workers are at it.
    The first error ends it all. Processes are forked from a server that has no threads: a fork of this one
    would copy the locks of DuckDB's.
    """
    if workers <= 1:
        for task in list(tasks):
            yield work(task)
        return
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
        futures: list[Future[R]] = []
        try:
            futures.extend(pool.submit(work, task) for task in tasks)
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def warm_up(workers: int) -> None:
    """Start the workers' parent, if there will be any: early, it imports what they need beside other work."""
    if workers > 1:
        multiprocessing.get_context("forkserver").set_forkserver_preload(["derlem.corpus.shard"])
        forkserver.ensure_running()  # one that runs already stays as it is


def _end_with_parent() -> None:
    """Leave when the parent is gone, even if it was killed: nobody would take the results."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def wait() -> None:
        multiprocessing.connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
