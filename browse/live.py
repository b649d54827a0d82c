"""Sends the progress of a run to the browser: server-sent events made of the run's state file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from ..results import RunStatus

EVERY = 0.5
"""Seconds between looks at the state file."""
KEEP_ALIVE = 15.0
MAX_STREAMS = 16


@dataclass(frozen=True, slots=True)
class Progress:
    """A run and the outcomes per second of its stage; None before a second look."""

    run: RunStatus | None
    rate: float | None


class Rate:
    """Outcomes per second of the running stage, over the last looks."""

    def __init__(self, window: float = 10.0) -> None:
        self._window = window
        self._looks: list[tuple[float, str, int]] = []

    def add(self, run: RunStatus | None, now: float) -> float | None:
        """Add a look; return the rate, or None without a running stage."""
        if run is None or run.state != "running":
            self._looks.clear()
            return None
        counts = run.counts.get(run.stage, {})
        total = sum(number for name, number in counts.items() if name != "bytes")
        self._looks.append((now, f"{run.run} {run.stage}", total))
        current = self._looks[-1][1]
        self._looks = [look for look in self._looks if look[1] == current and now - look[0] <= self._window]
        first = self._looks[0]
        return (total - first[2]) / (now - first[0]) if now > first[0] else None


class Streams:
    """The open streams of one server, at most MAX_STREAMS."""

    def __init__(self, read: Callable[[], RunStatus | None], render: Callable[[Progress], str]) -> None:
        self._read = read
        self._render = render
        self._open = 0

    @property
    def full(self) -> bool:
        """Whether no further stream can be opened."""
        return self._open >= MAX_STREAMS

    async def events(self) -> AsyncIterator[str]:
        """Yield an event whenever the rendered progress changes, and a comment now and then."""
        self._open += 1
        try:
            rate, shown, sent = Rate(), None, time.monotonic()
            while True:
                run = await run_in_threadpool(self._read)
                text = self._render(Progress(run, rate.add(run, time.monotonic())))
                if text != shown:
                    shown, sent = text, time.monotonic()
                    yield "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"
                elif time.monotonic() - sent > KEEP_ALIVE:
                    sent = time.monotonic()
                    yield ": still there\n\n"
                await asyncio.sleep(EVERY)
        finally:
            self._open -= 1
