"""Draws progress on a terminal: a bar for the stage, a bar per source, and the last rejected items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from ..core.progress import SourceSteps
from .shared import printable

SOURCES = 8
"""Bars of sources at once: those that are not done come first."""


class Bars(Progress):
    """The bars of one stage."""

    def __init__(self, stage: str, total: int | None) -> None:
        self._rejections: list[str] = []
        self._of_sources: dict[str, TaskID] = {}
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._stage = self.add_task(printable(stage), total=total, counts="")

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bars, and under them the rejected items."""
        yield from super().get_renderables()
        for line in self._rejections:
            yield Text(f"rejected {printable(line)}", style="dim", no_wrap=True, overflow="ellipsis")

    def show(self, done: int, total: int | None, counts: str) -> None:
        """The stage has come this far."""
        self.update(self._stage, completed=done, total=total, counts=counts)

    def show_sources(self, sources: Mapping[str, SourceSteps], rejections: Sequence[str]) -> None:
        """The sources have come this far. A single source has no bar beside that of the stage."""
        self._rejections = list(rejections)
        names = sorted(sources, key=lambda name: sources[name].done >= sources[name].total)[:SOURCES]
        for name in set(self._of_sources) - set(names):
            self.remove_task(self._of_sources.pop(name))
        for name in names if len(sources) > 1 else ():
            steps = sources[name]
            if name not in self._of_sources:
                self._of_sources[name] = self.add_task(f"  {printable(name)}", total=steps.total, counts="")
            task = self._of_sources[name]
            self.update(task, completed=steps.done, total=steps.total, counts=speed(steps))


def speed(steps: SourceSteps) -> str:
    """Rate and remaining time of a source, in words; '' before the first outcome and after the last."""
    if not steps.rate or steps.done >= steps.total or steps.seconds_left is None:
        return ""
    return f"{steps.rate:.1f}/s, about {timedelta(seconds=round(steps.seconds_left))} left"
