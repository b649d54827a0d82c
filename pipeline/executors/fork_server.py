"""Prepares the process that ingest workers are forked from. Imports next to nothing: it comes first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module

from ...core.fork_server import start_fork_server


def warm_up(adapters: Iterable[str]) -> None:
    """Start the fork server, unless it runs, for sources of these adapters, by their declared names."""
    start_fork_server(__name__, adapters)


def preload(adapters: Sequence[str]) -> None:
    """In the fork server: import what ingest tasks need, before the first worker is forked."""
    import_module("derlem.pipeline.worker")
    from ...adapters.registry import adapter_class

    for name in adapters:
        with suppress(Exception):  # the coordinator reports what is wrong with an adapter
            for module in adapter_class(name).reading:
                import_module(module)
