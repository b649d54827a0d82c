"""Progress of long work on stderr: a bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

EVERY = 5.0
"""Seconds between plain lines."""


class Meter:
    """Counts the steps of one stage towards a total that may be unknown (None) or grow."""

    def __init__(self, title: str, total: int | None, progress: Progress | None) -> None:
        self._title, self._progress = title, progress
        self.total, self.done = total, 0
        self._notes: dict[str, int] = {}
        self._begun = self._told = time.monotonic()
        self._task = progress.add_task(title, total=total, notes="") if progress is not None else None

    def advance(self, steps: int, **notes: int) -> None:
        """`steps` more are done; `notes` are counts to show beside (ready=3, rejected=1)."""
        self.done += steps
        if self.total is not None:  # a document's pages are known to be impossible when it is opened
            self.total = max(self.total, self.done)
        for name, count in notes.items():
            self._notes[name] = self._notes.get(name, 0) + count
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=self.done, total=self.total, notes=self._described())
        elif time.monotonic() - self._told >= EVERY:
            self._tell()

    def grow(self, steps: int) -> None:
        """`steps` more turned out to be to do."""
        self.total = (self.total or 0) + steps

    def close(self) -> None:
        """Say the last word where there is no bar."""
        if self._progress is None and self.done:
            self._tell()

    def _tell(self) -> None:
        seconds = max(time.monotonic() - self._begun, 1e-9)
        total = "" if self.total is None else f"/{self.total}"
        rate = f"{self.done / seconds:.0f}/s"
        print(
            f"{self._title}: {self.done}{total}, {rate} {self._described()}".rstrip(),
            file=sys.stderr,
            flush=True,
        )
        self._told = time.monotonic()

    def _described(self) -> str:
        return " ".join(f"{name} {count}" for name, count in self._notes.items() if count)


@contextmanager
def meter(title: str, total: int | None = None) -> Iterator[Meter]:
    """Show the progress of a stage for as long as the block runs."""
    if not sys.stderr.isatty():
        plain = Meter(title, total, None)
        yield plain
        plain.close()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[notes]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Meter(title, total, progress)
