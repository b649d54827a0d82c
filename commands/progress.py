"""Shows progress on stderr: bars on a terminal, otherwise a plain line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .shared import echo

if TYPE_CHECKING:
    from ..core.progress import SourceSteps
    from .bars import Bars

EVERY = 5.0
"""Seconds between plain lines."""


class TerminalProgress:
    """Shows one stage at a time."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._started = self._shown = 0.0
        self._last = ""

    def begin(self, stage: str, total: int | None) -> None:
        """Open a bar, or start the timer of plain lines."""
        self._started = self._shown = time.monotonic()
        self._last = ""
        if not sys.stderr.isatty():
            return
        from .bars import Bars

        self._bars = Bars(stage, total)
        self._bars.start()

    def advance(self, stage: str, done: int, total: int | None, counts: Mapping[str, int]) -> None:
        """Update the bar, or write a line if EVERY seconds have passed since the last line."""
        outcomes = " ".join(f"{name} {count}" for name, count in counts.items() if count)
        if self._bars is not None:
            self._bars.show(done, total, outcomes)
            return
        now = time.monotonic()
        rate = done / max(now - self._started, 1e-9)
        of = "" if total is None else f"/{total}"
        self._last = f"{stage}: {done}{of}, {rate:.0f}/s {outcomes}".rstrip()
        if now - self._shown >= EVERY:
            self._write(now)

    def detail(self, stage: str, sources: Mapping[str, SourceSteps], rejections: Sequence[str]) -> None:
        """Update the bars of the sources; plain lines are about the stage alone."""
        if self._bars is not None:
            self._bars.show_sources(sources, rejections)

    def end(self, stage: str) -> None:
        """Close the bar, or write the last line."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        elif self._last:
            self._write(time.monotonic())

    def _write(self, now: float) -> None:
        echo(self._last)
        self._last, self._shown = "", now
