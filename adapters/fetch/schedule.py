"""Decides which request goes next: fair over hosts, and within what each host is asked to bear.

A host's rate is the generic cell rate algorithm (ITU-T I.371): in any window of T seconds at most
burst + rate * T requests. It begins empty, because what an earlier process sent is not known. No clock
is read here and nothing is sent: the caller brings the time and does the work.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, Protocol, TypeVar

from .options import HostLimits

LINGER = 1.0
"""Seconds that an idle host stays ours; its next request need not begin from an empty bucket."""

YIELD_CHECK = 0.5
"""Seconds between looks whether another process waits for one of our busy hosts."""

LEASE_RETRY = 0.1
"""Seconds between tries to get a host that another process holds."""

T = TypeVar("T")


class Leases(Protocol):
    """Makes a host the matter of one process at a time."""

    def acquire(self, host: str) -> bool:
        """Whether the host is ours now."""

    def release(self, host: str) -> None:
        """Let another process have the host."""

    def wanted(self, host: str) -> bool:
        """Whether another process waits for a host that is ours."""


class _Place(Enum):
    """Where a host stands in the schedule; it is in one place at a time."""

    NOWHERE = 0  # nothing to do, or all its requests are under way
    RING = 1
    TIMER = 2


@dataclass(slots=True, eq=False)
class Host(Generic[T]):
    """A host's queue and what it bears. Times are seconds of the caller's clock."""

    name: str
    concurrency: int
    interval: float
    burst: int
    ours: bool = False
    active: int = 0
    failures: int = 0
    rests: int = 0
    resting_until: float = 0.0
    queue: deque[T] = field(default_factory=deque)
    _later: list[tuple[float, int, T]] = field(default_factory=list)
    _place: _Place = _Place.NOWHERE
    _due: float = 0.0
    _next: float = 0.0  # when the rate allows a request, or, while the host is not ours, another try
    _checked: float = 0.0
    _idle_since: float | None = None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do for this host."""
        return not (self.queue or self._later or self.active)

    def slow_down(self, interval: float) -> None:
        """Keep at least `interval` seconds between two requests, as the host asks (Crawl-delay)."""
        if interval > self.interval:
            self.interval, self.burst = interval, 1


class Schedule(Generic[T]):
    """Requests of many hosts, as an endless round: one of each host that may be asked now."""

    def __init__(self, limits: Callable[[str], HostLimits], leases: Leases, down_after: int) -> None:
        """`limits` gives a host's, complete; after `down_after` failures in a row a host is only probed."""
        self._limits, self._leases, self._down_after = limits, leases, down_after
        self._hosts: dict[str, Host[T]] = {}
        self._ring: deque[Host[T]] = deque()
        self._timers: list[tuple[float, int, Host[T]]] = []
        self._count = 0
        self.on_acquired: Callable[[Host[T]], None] = lambda host: None
        """Called when a host became ours, before its first request: to recall how it stands."""

    def host(self, name: str) -> Host[T]:
        """The host of this name."""
        found = self._hosts.get(name)
        if found is None:
            limits = self._limits(name)
            assert limits.concurrency and limits.requests_per_second and limits.burst
            interval = 1 / limits.requests_per_second
            found = self._hosts[name] = Host(name, limits.concurrency, interval, limits.burst)
        return found

    def add(self, host: Host[T], job: T, now: float, *, first: bool = False) -> None:
        """Queue a request, `first` before all others of its host."""
        host._idle_since = None
        if first:
            host.queue.appendleft(job)
        else:
            host.queue.append(job)
        if host._place is not _Place.RING:
            self._settle(host, now)

    def add_later(self, host: Host[T], job: T, at: float, now: float) -> None:
        """Queue a request that is not to be sent before the time `at`."""
        host._idle_since = None
        self._count += 1
        heapq.heappush(host._later, (at, self._count, job))
        if host._place is not _Place.RING:
            self._settle(host, now)

    def rest(self, host: Host[T], until: float, now: float) -> None:
        """Send nothing to the host before the time `until`."""
        host.resting_until = max(host.resting_until, until)
        if host._place is not _Place.RING:
            self._settle(host, now)

    def drain(self, host: Host[T], now: float) -> list[T]:
        """Take all waiting requests of a host out of the schedule."""
        jobs = [*host.queue, *(job for _, _, job in sorted(host._later, key=lambda entry: entry[:2]))]
        host.queue.clear()
        host._later.clear()
        if host._place is not _Place.RING:
            self._settle(host, now)
        return jobs

    def take(self, now: float) -> tuple[Host[T], T] | None:
        """The next request that may be sent now and its host, or None. Report its end with `finished`."""
        while self._timers and self._timers[0][0] <= now:
            due, _, host = heapq.heappop(self._timers)
            if host._place is _Place.TIMER and host._due == due:
                host._place = _Place.NOWHERE
                self._settle(host, now)
        while self._ring:
            host = self._ring.popleft()
            host._place = _Place.NOWHERE
            if self._ready_at(host, now) <= now:
                host._next = max(host._next, now - host.interval * (host.burst - 1)) + host.interval
                host.active += 1
                job = host.queue.popleft()
                self._settle(host, now)
                return host, job
            self._settle(host, now)
        return None

    def finished(self, host: Host[T], now: float) -> None:
        """A request of the host has ended."""
        host.active -= 1
        if host._place is not _Place.RING:
            self._settle(host, now)

    def wake_at(self) -> float | None:
        """When `take` may have something again, though nothing is added or finished; None: never."""
        while self._timers:
            due, _, host = self._timers[0]
            if host._place is _Place.TIMER and host._due == due:
                return due
            heapq.heappop(self._timers)
        return None

    def close(self) -> None:
        """Give all hosts back."""
        for host in self._hosts.values():
            self._leases.release(host.name)
        self._hosts.clear()

    def _settle(self, host: Host[T], now: float) -> None:
        """Put a host where it belongs: the ring if it may be asked now, else a timer, else nowhere."""
        if host.idle:
            self._retire(host, now)
            return
        at = self._ready_at(host, now)
        if at <= now:
            host._place = _Place.RING
            self._ring.append(host)
        elif at == float("inf"):
            host._place = _Place.NOWHERE
        else:
            self._set_timer(host, at)

    def _ready_at(self, host: Host[T], now: float) -> float:
        """When the host may be asked next; infinite while that depends on a request's end."""
        while host._later and host._later[0][0] <= now:
            host.queue.append(heapq.heappop(host._later)[2])
        if not host.ours and not self._acquire(host, now):
            return host._next
        if now - host._checked >= YIELD_CHECK:
            host._checked = now
            if self._leases.wanted(host.name):
                if host.active:
                    host._checked = 0.0  # look again when one of them has ended
                    return float("inf")
                self._give_back(host, now)
                return host._next
        if not host.queue:
            return host._later[0][0] if host._later else float("inf")
        if host.active >= (1 if host.failures >= self._down_after else host.concurrency):
            return float("inf")
        return max(host.resting_until, host._next)

    def _acquire(self, host: Host[T], now: float) -> bool:
        if now < host._next:
            return False
        if not self._leases.acquire(host.name):
            host._next = now + LEASE_RETRY
            return False
        host.ours = True
        host._checked = now
        host._next = now + host.interval
        self.on_acquired(host)
        return True

    def _give_back(self, host: Host[T], now: float) -> None:
        host.ours = False
        host._next = now + LEASE_RETRY
        self._leases.release(host.name)

    def _retire(self, host: Host[T], now: float) -> None:
        """Let an idle host go, some time after its last request."""
        if host._idle_since is None:
            host._idle_since = now
        if host.ours and now < host._idle_since + LINGER:
            self._set_timer(host, host._idle_since + LINGER)
            return
        self._leases.release(host.name)
        host.ours = False
        if now < host.resting_until:
            self._set_timer(host, host.resting_until)  # its rest must not be forgotten
            return
        host._place = _Place.NOWHERE
        del self._hosts[host.name]

    def _set_timer(self, host: Host[T], at: float) -> None:
        if host._place is not _Place.TIMER or host._due != at:
            host._place, host._due = _Place.TIMER, at
            self._count += 1
            heapq.heappush(self._timers, (at, self._count, host))
