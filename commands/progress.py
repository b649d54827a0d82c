"""Shows progress on stderr: a bar on a terminal, otherwise a plain line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .shared import echo, printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

EVERY = 5.0
"""Seconds between plain lines."""


class TerminalProgress:
    """Shows one stage at a time."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._started = self._shown = 0.0
        self._last = ""

    def begin(self, stage: str, total: int | None) -> None:
        """Open a bar, or start the timer of plain lines."""
        self._started = self._shown = time.monotonic()
        self._last = ""
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeElapsedColumn(),
        )
        self._bars = Bars(*columns, console=Console(stderr=True))
        self._task = self._bars.add_task(printable(stage), total=total, counts="")
        self._bars.start()

    def advance(self, stage: str, done: int, total: int | None, counts: Mapping[str, int]) -> None:
        """Update the bar, or write a line if EVERY seconds have passed since the last line."""
        outcomes = " ".join(f"{name} {count}" for name, count in counts.items() if count)
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=done, total=total, counts=outcomes)
            return
        now = time.monotonic()
        rate = done / max(now - self._started, 1e-9)
        of = "" if total is None else f"/{total}"
        self._last = f"{stage}: {done}{of}, {rate:.0f}/s {outcomes}".rstrip()
        if now - self._shown >= EVERY:
            self._write(now)

    def end(self, stage: str) -> None:
        """Close the bar, or write the last line."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = self._task = None
        elif self._last:
            self._write(time.monotonic())

    def _write(self, now: float) -> None:
        echo(self._last)
        self._last, self._shown = "", now
