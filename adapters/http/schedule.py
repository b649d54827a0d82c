"""Schedules requests: fairly over hosts, within the limits of each host.

A host's rate is the generic cell rate algorithm (ITU-T I.371): in any window of T seconds at most
burst + rate * T requests. A host's limits are divided into slots, which processes share. A new slot starts
without tokens, because the requests of its last holder are unknown. The schedule neither reads a clock nor
sends requests: the caller passes the time and sends.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Generic, Protocol, TypeVar

from .fetch_options import HostLimits
from .leases import MAX_SLOTS

LINGER = 1.0
"""Seconds that the slots of an idle host are kept, so that its next request finds a full bucket."""

SLOT_CHECK = 0.1
"""Seconds between tries to acquire more slots of a busy host or to release one for another process."""

TURN = 1.0
"""Seconds that a process keeps its last slot of a host while another process waits for one."""

T = TypeVar("T")


class Leases(Protocol):
    """Shares the slots of hosts between processes; see HostLeases."""

    def acquire(self, host: str, slot: int) -> bool:
        """Acquire a slot of the host; False if another process has it."""

    def release(self, host: str, slot: int) -> None:
        """Release a slot."""

    def wait(self, host: str) -> None:
        """Mark this process as waiting for a slot of the host, visible to other processes."""

    def stop_waiting(self, host: str) -> None:
        """Clear the mark of `wait`."""

    def wanted(self, host: str) -> bool:
        """Return whether another process waits for a slot of the host."""


class _Place(Enum):
    """The place of a host in the schedule; a host is in one place at a time."""

    NOWHERE = 0  # no queued request, or all slots in use
    RING = 1
    TIMER = 2


class Share:
    """This process's share of a host's limits, given by its slots."""

    def __init__(self, limits: HostLimits) -> None:
        """`limits` are complete. The number of slots gives each slot at least one request and one token."""
        assert limits.concurrency and limits.requests_per_second and limits.burst
        self.slots = min(limits.concurrency, limits.burst, MAX_SLOTS)
        self._limits = limits
        self._slowest = 0.0
        self.held: list[int] = []
        self.concurrency = 0
        self.interval = float("inf")
        self.burst = 0
        self.next = 0.0
        """Return the time from which the rate allows a request."""

    def gain(self, slot: int, now: float) -> None:
        """Add an acquired slot; its tokens accrue over time."""
        tokens = min((now - self.next) / self.interval + 1, self.burst) if self.held else 0.0
        self.held.append(slot)
        self._add_up()
        self.next = now - (tokens - 1) * self.interval

    def lose(self, now: float) -> int:
        """Remove the last slot, and tokens beyond the capacity of the remaining slots."""
        tokens = (now - self.next) / self.interval + 1
        slot = self.held.pop()
        self._add_up()
        if self.held:
            self.next = now - (min(tokens, self.burst) - 1) * self.interval
        return slot

    @property
    def rate(self) -> float:
        """The requests per second that the host's limits and its crawl delay allow to all processes."""
        assert self._limits.requests_per_second
        return 1 / max(1 / self._limits.requests_per_second, self._slowest)

    @property
    def reserve(self) -> int:
        """The concurrency after the loss of a slot."""
        assert self._limits.concurrency
        return self.concurrency - _part(self._limits.concurrency, self.slots, self.held[-1])

    def spend(self, now: float) -> None:
        """Count a sent request."""
        self.next = max(self.next, now - self.interval * (self.burst - 1)) + self.interval

    def slow_down(self, interval: float) -> None:
        """Keep at least `interval` seconds between two requests (Crawl-delay)."""
        if interval > self._slowest:
            self._slowest = interval
            self._add_up()

    def _add_up(self) -> None:
        """Return the limits of the held slots; the first slots have one more if division leaves a rest."""
        limits = self._limits
        assert limits.concurrency and limits.requests_per_second and limits.burst
        if not self.held:
            self.concurrency, self.burst, self.interval = 0, 0, float("inf")
            return
        self.concurrency = sum(_part(limits.concurrency, self.slots, slot) for slot in self.held)
        self.burst = sum(_part(limits.burst, self.slots, slot) for slot in self.held)
        whole = 1 / limits.requests_per_second
        if self._slowest > whole:
            whole, self.burst = self._slowest, 1
        self.interval = whole * self.slots / len(self.held)


def _part(amount: int, slots: int, slot: int) -> int:
    return amount // slots + (slot < amount % slots)


@dataclass(slots=True, eq=False)
class Host(Generic[T]):
    """A host's queue and limits. Times are seconds of the caller's clock.

    `failing_since` is the time of the first failure after the last answer (seconds since the epoch);
    `recorded` is whether the ledger has a pause of the host.
    """

    name: str
    share: Share
    active: int = 0
    failures: int = 0
    pauses: int = 0
    paused_until: float = 0.0
    failing_since: float | None = None
    recorded: bool = False
    queue: deque[T] = field(default_factory=deque)
    _later: list[tuple[float, int, T]] = field(default_factory=list)
    _place: _Place = _Place.NOWHERE
    _due: float = 0.0
    _checked: float = float("-inf")
    _since: float = 0.0
    _yielding: bool = False
    _idle_since: float | None = None

    @property
    def waiting(self) -> int:
        """Number of requests that are not sent yet."""
        return len(self.queue) + len(self._later)

    @property
    def idle(self) -> bool:
        """Whether this host has neither queued nor active requests."""
        return not (self.queue or self._later or self.active)


class Schedule(Generic[T]):
    """Requests of many hosts, taken in rounds: one request of each host that is ready."""

    def __init__(self, limits: Callable[[str], HostLimits], leases: Leases, down_after: int) -> None:
        """`limits` returns a host's limits; after `down_after` consecutive failures a host is only probed."""
        self._limits, self._leases, self._down_after = limits, leases, down_after
        self._hosts: dict[str, Host[T]] = {}
        self._ring: deque[Host[T]] = deque()
        self._timers: list[tuple[float, int, Host[T]]] = []
        self._count = 0
        self.on_acquired: Callable[[Host[T]], None] = lambda host: None
        """Called after the first slot of a host is acquired, before a request, to load the host's state."""

    def host(self, name: str) -> Host[T]:
        """Return the host of this name."""
        found = self._hosts.get(name)
        if found is None:
            found = self._hosts[name] = Host(name, Share(self._limits(name)))
        return found

    def add(self, host: Host[T], job: T, now: float, *, first: bool = False) -> None:
        """Queue a request; with `first`, before all others of its host."""
        host._idle_since = None
        if first:
            host.queue.appendleft(job)
        else:
            host.queue.append(job)
        if host._place is not _Place.RING:
            self._reschedule(host, now)

    def add_later(self, host: Host[T], job: T, at: float, now: float) -> None:
        """Queue a request to send at the time `at` or later."""
        host._idle_since = None
        self._count += 1
        heapq.heappush(host._later, (at, self._count, job))
        if host._place is not _Place.RING:
            self._reschedule(host, now)

    def pause(self, host: Host[T], until: float, now: float) -> None:
        """Pause the host until the time `until`."""
        host.paused_until = max(host.paused_until, until)
        if host._place is not _Place.RING:
            self._reschedule(host, now)

    def drain(self, host: Host[T], now: float) -> list[T]:
        """Remove and return all waiting requests of a host."""
        jobs = [*host.queue, *(job for _, _, job in sorted(host._later, key=lambda entry: entry[:2]))]
        host.queue.clear()
        host._later.clear()
        if host._place is not _Place.RING:
            self._reschedule(host, now)
        return jobs

    def take(self, now: float) -> tuple[Host[T], T] | None:
        """Return the next request to send now and its host, or None. Report its end with `finished`."""
        while self._timers and self._timers[0][0] <= now:
            due, _, host = heapq.heappop(self._timers)
            if host._place is _Place.TIMER and host._due == due:
                host._place = _Place.NOWHERE
                self._reschedule(host, now)
        while self._ring:
            host = self._ring.popleft()
            host._place = _Place.NOWHERE
            if self._ready_at(host, now) <= now:
                host.share.spend(now)
                host.active += 1
                job = host.queue.popleft()
                self._reschedule(host, now)
                return host, job
            self._reschedule(host, now)
        return None

    def finished(self, host: Host[T], now: float) -> None:
        """Report the end of a request of the host."""
        host.active -= 1
        if host._place is not _Place.RING:
            self._reschedule(host, now)

    def wake_at(self) -> float | None:
        """Return the time at which `take` may return a request without further calls; None: never."""
        while self._timers:
            due, _, host = self._timers[0]
            if host._place is _Place.TIMER and host._due == due:
                return due
            heapq.heappop(self._timers)
        return None

    def close(self) -> None:
        """Release the slots of all hosts."""
        for host in self._hosts.values():
            self._give_back(host)
        self._hosts.clear()

    def _reschedule(self, host: Host[T], now: float) -> None:
        """Move a host to the ring if it is ready, else to a timer, else out of the schedule."""
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
        """Return the time of the host's next request; infinite while all depends on active requests."""
        while host._later and host._later[0][0] <= now:
            host.queue.append(heapq.heappop(host._later)[2])
        if now - host._checked >= SLOT_CHECK:
            host._checked = now
            self._share_out(host, now)
        share = host.share
        if host._yielding and host.active <= share.reserve:
            host._yielding = False
            self._leases.release(host.name, share.lose(now))
        if not share.held:
            return host._checked + SLOT_CHECK
        if not host.queue:
            return host._later[0][0] if host._later else float("inf")
        concurrency = share.reserve if host._yielding else share.concurrency
        if host.failures >= self._down_after:
            concurrency = min(1, concurrency)
        if host.active >= concurrency:  # wait for the end of a request, or for a slot
            return host._checked + SLOT_CHECK if len(share.held) < share.slots else float("inf")
        return max(host.paused_until, share.next)

    def _share_out(self, host: Host[T], now: float) -> None:
        """Acquire free slots of a host, or start releasing a slot for a process without one.

        A call acquires at most half of the missing slots, so that two processes share evenly at the start.
        """
        share = host.share
        if host._yielding:
            return
        if self._leases.wanted(host.name):
            host._yielding = len(share.held) > 1 or bool(share.held and now - host._since >= TURN)
            return
        first = not share.held
        if first:
            self._leases.wait(host.name)
        missing = [slot for slot in range(share.slots) if slot not in share.held]
        acquired = (slot for slot in missing if self._leases.acquire(host.name, slot))
        for slot in islice(acquired, -(-len(missing) // 2)):
            share.gain(slot, now)
        if first and share.held:
            host._since = now
            self._leases.stop_waiting(host.name)
            self.on_acquired(host)

    def _give_back(self, host: Host[T]) -> None:
        while host.share.held:
            self._leases.release(host.name, host.share.lose(0.0))
        self._leases.stop_waiting(host.name)

    def _retire(self, host: Host[T], now: float) -> None:
        """Release an idle host, some time after its last request."""
        if host._idle_since is None:
            host._idle_since = now
        if host.share.held and now < host._idle_since + LINGER:
            self._set_timer(host, host._idle_since + LINGER)
            return
        self._give_back(host)
        if now < host.paused_until:
            self._set_timer(host, host.paused_until)  # the pause must last longer than the queue
            return
        host._place = _Place.NOWHERE
        del self._hosts[host.name]

    def _set_timer(self, host: Host[T], at: float) -> None:
        if host._place is not _Place.TIMER or host._due != at:
            host._place, host._due = _Place.TIMER, at
            self._count += 1
            heapq.heappush(self._timers, (at, self._count, host))
