"""Signals that end a process: as interrupts, deferred by blocks that must not be left half done."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .errors import chain

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_received: list[int] = []
"""Signals that a handler of `install_signal_handlers` has raised; DuckDB 2 loses the exception."""


def install_signal_handlers() -> None:
    """Handle SIGTERM and SIGHUP (a service that stops, a terminal that closes) like an interrupt.

    A disposition that was set by the parent, such as nohup's, stays. For processes of derlem's own only.
    """

    def end(number: int, _: FrameType | None) -> None:
        _received.append(number)
        raise KeyboardInterrupt(number)

    if threading.current_thread() is threading.main_thread():
        for ending in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(ending) is signal.SIG_DFL:
                signal.signal(ending, end)


def signal_behind(error: BaseException) -> int | None:
    """The number of the signal that an error stems from; None if the error stems from no signal.

    An interrupt that comes during an import, or in the database, is wrapped in other errors.
    """
    for each in chain(error):
        if isinstance(each, KeyboardInterrupt):
            number: int = next(iter([*each.args, *_received, signal.SIGINT]))
            return number
    return None


@contextmanager
def defer_signals() -> Iterator[None]:
    """Defer a signal to end (SIGINT, SIGTERM, SIGHUP) to the end of the block; a second one acts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    caught: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        caught.append(number)
        if len(caught) > 1:
            raise KeyboardInterrupt(number)

    handled = [ending for ending in _ENDINGS if signal.getsignal(ending) is not signal.SIG_IGN]
    before = {ending: signal.signal(ending, note) for ending in handled}
    try:
        yield
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)
    for number in caught:
        os.kill(os.getpid(), number)
