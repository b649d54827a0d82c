"""Starts the process that workers are forked from. Imports next to nothing, so that it can come first."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver as forkserver
import multiprocessing.resource_tracker as resource_tracker
import os
import signal
from collections.abc import Iterable

ADAPTERS = "DERLEM_WORKERS_ADAPTERS"
"""The variable that tells the parent for which adapters to get ready: a fork server takes no arguments."""


def warm_up(adapters: Iterable[str]) -> None:
    """Start the workers' parent, unless it runs: it imports what they need, beside whatever is done here.

    `adapters` are names as they are declared, those that are wrong included.
    """
    resource_tracker.ensure_running()  # the other process of multiprocessing's; it minds its own signals
    os.environ[ADAPTERS] = " ".join(sorted(set(adapters)))
    # an interrupt from the terminal is for this process; the parent is born deaf to it (see `preload`)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        multiprocessing.get_context("forkserver").set_forkserver_preload(
            ["derlem.pipeline.executors.preload"]
        )
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        del os.environ[ADAPTERS]
