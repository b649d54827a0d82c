"""Threads for transfers that do not delay the end of the process, unlike those of the standard library."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")


class TransferPool:
    """A number of daemon threads. `close` ends them after their tasks."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"transfer-{number}", daemon=True).start()

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function in one of the threads."""
        future: Future[T] = Future()

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as error:  # the caller of `result` receives it
                future.set_exception(error)

        self._tasks.put(task)
        return future

    def map(self, function: Callable[[A], T], values: Iterable[A]) -> Iterator[T]:
        """Yield the results for values, in their order."""
        futures = [self.submit(function, value) for value in values]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """End the threads when their tasks are done; does not wait."""
        for _ in range(self.threads):
            self._tasks.put(None)

    def _work(self) -> None:
        task: Any = self._tasks.get()
        while task is not None:
            task()
            task = self._tasks.get()
