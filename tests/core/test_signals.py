"""An interrupt in the midst of what must not be left half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from derlem.core import signals
from derlem.core.progress import Meter, Silent
from derlem.core.signals import defer_signals, install_signal_handlers, signal_behind


@pytest.fixture(autouse=True)
def handled() -> Iterator[None]:
    """Interrupts are handled; where tests run in the background, they may be ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_takes_effect_at_the_end() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt):
        with defer_signals():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            done = True
        time.sleep(1)
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_takes_effect_at_once() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt), defer_signals():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        done = True
    assert not done


def test_what_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with defer_signals():
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGHUP)
                time.sleep(0.01)
        time.sleep(0.01)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_handled_signal_is_found_behind_other_errors() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        install_signal_handlers()
        with pytest.raises(ImportError) as caught:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(1)
            except KeyboardInterrupt as interrupt:
                raise ImportError("a module") from interrupt
        assert signal_behind(caught.value) == signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)
    assert signal_behind(ImportError("a module")) is None


def test_a_lost_interrupt_is_raised_where_a_stage_makes_progress() -> None:
    install_signal_handlers()
    with suppress(KeyboardInterrupt):  # such as a library that discards all exceptions
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    shown = Meter("ingest", None, Silent())
    with pytest.raises(KeyboardInterrupt) as caught:
        shown.advance(1)
    assert signal_behind(caught.value) == signal.SIGINT
    shown.advance(1)


def test_an_interrupt_in_progress_is_not_raised_again() -> None:
    install_signal_handlers()
    shown = Meter("ingest", None, Silent())
    with pytest.raises(KeyboardInterrupt) as caught:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        finally:
            shown.advance(1)  # such as the commit of what is done
            done = True
    assert done and signal_behind(caught.value) == signal.SIGINT


def test_an_interrupt_during_imports_ends_with_one_line() -> None:
    code = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Interrupt:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'click': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt)\n"
        "from derlem.__main__ import main\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGINT
    assert done.stderr == "Interrupted. Committed work is kept; repeat the command to continue.\n"


def test_an_interrupt_that_a_library_replaced_is_recognized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_received", [signal.SIGHUP])
    assert signals.signal_behind(ValueError("of a library")) == signal.SIGHUP
    assert signals.signal_behind(ValueError("later")) is None
