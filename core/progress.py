"""Reports the progress of long work to an object of the caller. Without such an object, nothing is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from .signals import raise_lost_signal


class Progress(Protocol):
    """Receives the progress of consecutive stages. All numbers are totals so far."""

    def begin(self, stage: str, total: int | None) -> None:
        """A stage begins; `total` is its number of steps, None if unknown."""

    def advance(self, stage: str, done: int, total: int | None, counts: Mapping[str, int]) -> None:
        """`done` of `total` steps are done; `counts` are outcomes by name (ready, rejected, new, ...)."""

    def end(self, stage: str) -> None:
        """The stage ends, with or without an exception."""


class Silent:
    """Shows nothing."""

    def begin(self, stage: str, total: int | None) -> None:
        """Do nothing."""

    def advance(self, stage: str, done: int, total: int | None, counts: Mapping[str, int]) -> None:
        """Do nothing."""

    def end(self, stage: str) -> None:
        """Do nothing."""


class Meter:
    """Adds up the steps of one stage towards a total that may be unknown (None) or grow."""

    def __init__(self, stage: str, total: int | None, progress: Progress) -> None:
        self._stage, self._progress = stage, progress
        self.total, self.done = total, 0
        self.counts: dict[str, int] = {}

    def advance(self, steps: int, **counts: int) -> None:
        """`steps` more are done; `counts` are added to the outcomes (ready=3, rejected=1)."""
        raise_lost_signal()
        self.done += steps
        if self.total is not None:  # the pages of a document are known once the document is opened
            self.total = max(self.total, self.done)
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        self._progress.advance(self._stage, self.done, self.total, self.counts)

    def grow(self, steps: int) -> None:
        """Add `steps` to the total."""
        self.total = (self.total or 0) + steps


@contextmanager
def meter(progress: Progress, stage: str, total: int | None = None) -> Iterator[Meter]:
    """Report a stage for the duration of the block."""
    progress.begin(stage, total)
    try:
        yield Meter(stage, total, progress)
    finally:
        progress.end(stage)
