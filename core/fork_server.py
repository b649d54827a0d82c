"""Starts the process from which workers are forked. Few imports, so that this module can run first."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.forkserver as forkserver
import multiprocessing.resource_tracker as resource_tracker
import os
import signal
from collections.abc import Iterable

PRELOAD = "DERLEM_PRELOAD"
"""The environment variable with the module and arguments for `preload`: a fork server takes no arguments."""


def start_fork_server(module: str, arguments: Iterable[str] = ()) -> None:
    """Start the fork server, unless it runs; it imports what workers need while this process continues.

    The server imports `module` and, where the module has a function `preload`, calls it with `arguments`.
    Workers are forked from a process without threads: a fork of this one would copy the locks of DuckDB's.
    """
    resource_tracker.ensure_running()  # the other process of multiprocessing: it handles signals itself
    os.environ[PRELOAD] = json.dumps([module, sorted(set(arguments))])
    # only this process handles an interrupt from the terminal; the server starts with SIGINT blocked
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        multiprocessing.get_context("forkserver").set_forkserver_preload(["derlem.core.preload"])
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        del os.environ[PRELOAD]
