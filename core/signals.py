"""Signals that end a process: handled as interrupts, and deferred by blocks that must complete."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .errors import chain

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_received: list[int] = []
"""Signals that a handler of `install_signal_handlers` has raised; DuckDB 2, or a callback of an import or of
the garbage collector, loses the exception."""


def install_signal_handlers() -> None:
    """Handle SIGTERM and SIGHUP (a service that stops, a terminal that closes) like SIGINT, and record them.

    A disposition set by the parent, such as nohup's, is kept. A signal that arrives after the command's end,
    while the interpreter exits, does not change its exit code. Only for derlem's own processes.
    """

    def end(number: int, _: FrameType | None) -> None:
        _received.append(number)
        raise KeyboardInterrupt(number)

    if threading.current_thread() is threading.main_thread():
        for ending in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(ending) is signal.SIG_DFL:
                signal.signal(ending, end)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, end)
        atexit.register(_ignore_signals)


def _ignore_signals() -> None:
    for ending in _ENDINGS:
        signal.signal(ending, signal.SIG_IGN)


def raise_lost_signal() -> None:
    """Raise KeyboardInterrupt again if the exception of a handled signal was lost."""
    if _received and sys.exception() is None:  # an exception that is being handled ends the command
        raise KeyboardInterrupt(_received[0])


def signal_behind(error: BaseException) -> int | None:
    """Return the number of the signal that caused an error; None without a signal.

    An interrupt during an import, or in the database, is wrapped in other errors.
    """
    for each in chain(error):
        if isinstance(each, KeyboardInterrupt):
            number: int = next(iter([*each.args, *_received, signal.SIGINT]))
            _received.clear()
            return number
    if _received:  # a library replaced the interrupt by an error of its own
        lost = _received[0]
        _received.clear()
        return lost
    return None


@contextmanager
def defer_signals() -> Iterator[None]:
    """Defer SIGINT, SIGTERM and SIGHUP to the end of the block; a second signal acts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
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
