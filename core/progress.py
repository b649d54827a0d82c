"""Reports the progress of long work to an object of the caller. Without such an object, nothing is shown."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from .signals import raise_lost_signal

REJECTIONS = 5
"""Rejected items that are reported, the last ones."""


@dataclass(frozen=True, slots=True)
class SourceSteps:
    """`done` of `total` steps of a source, at `rate` steps per second since its first outcome."""

    done: int
    total: int
    rate: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the last step at this rate; None if unknown."""
        return max(self.total - self.done, 0) / self.rate if self.rate > 0 else None


class Progress(Protocol):
    """Receives the progress of consecutive stages. All numbers are totals so far; `detail` may be missing."""

    def begin(self, stage: str, total: int | None) -> None:
        """A stage begins; `total` is its number of steps, None if unknown."""

    def advance(self, stage: str, done: int, total: int | None, counts: Mapping[str, int]) -> None:
        """`done` of `total` steps are done; `counts` are outcomes by name (ready, rejected, new, ...)."""

    def detail(self, stage: str, sources: Mapping[str, SourceSteps], rejections: Sequence[str]) -> None:
        """The steps of the stage's sources, and the last rejected items with their reasons, newest last."""

    def end(self, stage: str) -> None:
        """The stage ends, with or without an exception."""


def show_detail(
    progress: Progress, stage: str, sources: Mapping[str, SourceSteps], rejections: Sequence[str]
) -> None:
    """Call `progress.detail` where the object has it: callbacks may do without."""
    if detail := getattr(progress, "detail", None):
        detail(stage, sources, rejections)


class Silent:
    """Shows nothing."""

    def begin(self, stage: str, total: int | None) -> None:
        """Do nothing."""

    def advance(self, stage: str, done: int, total: int | None, counts: Mapping[str, int]) -> None:
        """Do nothing."""

    def detail(self, stage: str, sources: Mapping[str, SourceSteps], rejections: Sequence[str]) -> None:
        """Do nothing."""

    def end(self, stage: str) -> None:
        """Do nothing."""


class Meter:
    """Adds up the steps of one stage towards a total that may be unknown (None) or grow.

    `sources` are the expected steps of each source, where the stage reports sources.
    """

    def __init__(
        self, stage: str, total: int | None, progress: Progress, sources: Mapping[str, int] | None = None
    ) -> None:
        self._stage, self._progress = stage, progress
        self.total, self.done = total, 0
        self.counts: dict[str, int] = {}
        self._sources = {name: SourceSteps(0, steps) for name, steps in (sources or {}).items() if steps}
        self._firsts: dict[str, tuple[float, int]] = {}
        self._rejections: list[str] = []
        self._began = time.monotonic()

    def advance(self, steps: int, **counts: int) -> None:
        """`steps` more are done; `counts` are added to the outcomes (ready=3, rejected=1)."""
        raise_lost_signal()
        self.done += steps
        if self.total is not None:  # the pages of a document are known once the document is opened
            self.total = max(self.total, self.done)
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        self._progress.advance(self._stage, self.done, self.total, self.counts)

    def advance_source(self, source: str, steps: int, more: int, rejections: Sequence[str]) -> None:
        """`steps` more of a source are done, `more` are to be done, and these items were rejected."""
        at, before = time.monotonic(), self._sources.get(source, SourceSteps(0, 0))
        done = before.done + steps
        since, first = self._firsts.setdefault(source, (at, done))
        if done == first:  # the first outcome: the source may have begun with the stage
            since, first = self._began, 0
        rate = round((done - first) / max(at - since, 1e-3), 3)
        self._sources[source] = SourceSteps(done, max(before.total + more, done), rate)
        self._rejections = [*self._rejections, *rejections][-REJECTIONS:]
        show_detail(self._progress, self._stage, self._sources, self._rejections)

    def grow(self, steps: int) -> None:
        """Add `steps` to the total."""
        self.total = (self.total or 0) + steps


@contextmanager
def meter(
    progress: Progress, stage: str, total: int | None = None, sources: Mapping[str, int] | None = None
) -> Iterator[Meter]:
    """Report a stage, perhaps with the expected steps of its sources, for the duration of the block."""
    progress.begin(stage, total)
    try:
        yield Meter(stage, total, progress, sources)
    finally:
        progress.end(stage)
