"""Worker processes, which end with their parent and do not import the program that started them."""

from __future__ import annotations

import multiprocessing
import multiprocessing.spawn as spawn
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

_patching = threading.Lock()


class WorkerProcess(ForkServerProcess):
    """A process forked from the fork server, without the parent's `__main__` module.

    multiprocessing imports that module in every child. Workers do not need it, and a script that calls
    `Project.run()` without `if __name__ == "__main__":` would run again in every worker.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 - multiprocessing's name
        with _without_main():
            return ForkServerProcess._Popen(process_obj)


class WorkerContext(ForkServerContext):
    """The multiprocessing context of all workers."""

    Process = WorkerProcess


@contextmanager
def _without_main() -> Iterator[None]:
    """In the block, children started by this thread do not import `__main__`."""
    thread = threading.get_ident()
    with _patching:
        prepare = spawn.get_preparation_data

        def prepare_without_main(name: str) -> dict[str, Any]:
            data = prepare(name)
            if threading.get_ident() == thread:
                for key in ("init_main_from_name", "init_main_from_path"):
                    data.pop(key, None)
            return data

        spawn.get_preparation_data = prepare_without_main
        try:
            yield
        finally:
            spawn.get_preparation_data = prepare


def exit_with_parent(cleanup: Callable[[], None] | None = None) -> None:
    """End this process as soon as its parent has ended, even by SIGKILL.

    A daemon thread waits for the end of a pipe whose other end only the parent holds: the sentinel of a
    process that multiprocessing started, else standard input, to which the parent writes nothing more.
    `cleanup` runs before the end, in that thread.
    """
    parent = multiprocessing.parent_process()
    sentinel = 0 if parent is None else parent.sentinel

    def watch() -> None:
        wait([sentinel])
        try:
            if cleanup is not None:
                cleanup()
        finally:
            os._exit(1)

    threading.Thread(target=watch, name="exit-with-parent", daemon=True).start()
