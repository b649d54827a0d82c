"""Prepares the process that forks ingest workers. This module imports little, as it runs at start-up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module

from ...core.fork_server import start_fork_server


def warm_up(adapters: Iterable[str]) -> None:
    """Start the fork server, unless running, with the modules of the adapters of these declared names."""
    start_fork_server(__name__, adapters)


def preload(adapters: Sequence[str]) -> None:
    """Import the modules of ingest tasks in the fork server, before the first worker is forked."""
    import_module("derlem.pipeline.worker")
    from ...adapters.registry import adapter_class

    for name in adapters:
        with suppress(Exception):  # the coordinator reports errors of an adapter
            for module in adapter_class(name).reading:
                import_module(module)
