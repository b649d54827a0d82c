"""A process that ends with its parent: no worker outlives the process that takes its results."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing.connection import wait


def exit_with_parent(cleanup: Callable[[], None] | None = None) -> None:
    """End this process as soon as its parent has ended, in whatever way, SIGKILL included.

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
