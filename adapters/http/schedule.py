"""Decides which request is sent next: fair over hosts, within the limits of each host.

A host's rate is the generic cell rate algorithm (ITU-T I.371): in any window of T seconds at most
burst + rate * T requests. Its limits are divided into slots, which processes share; each holds some. What
a slot brings begins empty, because what its last holder sent is not known. No clock is read here and
nothing is sent: the caller brings the time and does the work.
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
"""Seconds that the slots of an idle host are kept; its next request then finds a filled bucket."""

SLOT_CHECK = 0.1
"""Seconds between looks for more slots of a busy host, and for a process that has none."""

TURN = 1.0
"""Seconds that a process keeps its last slot of a host, though another one has none."""

T = TypeVar("T")


class Leases(Protocol):
    """Shares the slots of hosts between processes; see HostLeases."""

    def acquire(self, host: str, slot: int) -> bool:
        """Acquire a slot of the host; False if another process has it."""

    def release(self, host: str, slot: int) -> None:
        """Give a slot up."""

    def wait(self, host: str) -> None:
        """Show other processes that this one has no slot of the host."""

    def stop_waiting(self, host: str) -> None:
        """End the waiting."""

    def wanted(self, host: str) -> bool:
        """Whether another process waits for a slot of the host."""


class _Place(Enum):
    """Where a host stands in the schedule; it is in one place at a time."""

    NOWHERE = 0  # nothing to do, or all its requests are under way
    RING = 1
    TIMER = 2


class Share:
    """This process's part of a host's limits: that of the slots it holds."""

    def __init__(self, limits: HostLimits) -> None:
        """`limits` are complete. There are as many slots as leave none without a request or a token."""
        assert limits.concurrency and limits.requests_per_second and limits.burst
        self.slots = min(limits.concurrency, limits.burst, MAX_SLOTS)
        self._limits = limits
        self._slowest = 0.0
        self.held: list[int] = []
        self.concurrency = 0
        self.interval = float("inf")
        self.burst = 0
        self.next = 0.0
        """When the rate allows a request."""

    def gain(self, slot: int, now: float) -> None:
        """A slot was acquired; its tokens come with time."""
        tokens = min((now - self.next) / self.interval + 1, self.burst) if self.held else 0.0
        self.held.append(slot)
        self._add_up()
        self.next = now - (tokens - 1) * self.interval

    def lose(self, now: float) -> int:
        """Part with the slot that came last, and with tokens that the others cannot hold."""
        tokens = (now - self.next) / self.interval + 1
        slot = self.held.pop()
        self._add_up()
        if self.held:
            self.next = now - (min(tokens, self.burst) - 1) * self.interval
        return slot

    @property
    def reserve(self) -> int:
        """Concurrency that is left when a slot is lost."""
        assert self._limits.concurrency
        return self.concurrency - _part(self._limits.concurrency, self.slots, self.held[-1])

    def spend(self, now: float) -> None:
        """A request is sent."""
        self.next = max(self.next, now - self.interval * (self.burst - 1)) + self.interval

    def slow_down(self, interval: float) -> None:
        """Keep at least `interval` seconds between two requests, as the host asks (Crawl-delay)."""
        if interval > self._slowest:
            self._slowest = interval
            self._add_up()

    def _add_up(self) -> None:
        """Limits of the slots held; where they do not divide evenly, the first slots have one more."""
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
    """A host's queue and limits. Times are seconds of the caller's clock."""

    name: str
    share: Share
    active: int = 0
    failures: int = 0
    pauses: int = 0
    paused_until: float = 0.0
    queue: deque[T] = field(default_factory=deque)
    _later: list[tuple[float, int, T]] = field(default_factory=list)
    _place: _Place = _Place.NOWHERE
    _due: float = 0.0
    _checked: float = float("-inf")
    _since: float = 0.0
    _yielding: bool = False
    _idle_since: float | None = None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do for this host."""
        return not (self.queue or self._later or self.active)


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
        """Called when the first slot of a host was acquired, before a request: to load its state."""

    def host(self, name: str) -> Host[T]:
        """The host of this name."""
        found = self._hosts.get(name)
        if found is None:
            found = self._hosts[name] = Host(name, Share(self._limits(name)))
        return found

    def add(self, host: Host[T], job: T, now: float, *, first: bool = False) -> None:
        """Queue a request, `first` before all others of its host."""
        host._idle_since = None
        if first:
            host.queue.appendleft(job)
        else:
            host.queue.append(job)
        if host._place is not _Place.RING:
            self._reschedule(host, now)

    def add_later(self, host: Host[T], job: T, at: float, now: float) -> None:
        """Queue a request that is not to be sent before the time `at`."""
        host._idle_since = None
        self._count += 1
        heapq.heappush(host._later, (at, self._count, job))
        if host._place is not _Place.RING:
            self._reschedule(host, now)

    def pause(self, host: Host[T], until: float, now: float) -> None:
        """Send nothing to the host before the time `until`."""
        host.paused_until = max(host.paused_until, until)
        if host._place is not _Place.RING:
            self._reschedule(host, now)

    def drain(self, host: Host[T], now: float) -> list[T]:
        """Take all waiting requests of a host out of the schedule."""
        jobs = [*host.queue, *(job for _, _, job in sorted(host._later, key=lambda entry: entry[:2]))]
        host.queue.clear()
        host._later.clear()
        if host._place is not _Place.RING:
            self._reschedule(host, now)
        return jobs

    def take(self, now: float) -> tuple[Host[T], T] | None:
        """The next request that may be sent now and its host, or None. Report its end with `finished`."""
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
        """A request of the host has ended."""
        host.active -= 1
        if host._place is not _Place.RING:
            self._reschedule(host, now)

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
            self._give_back(host)
        self._hosts.clear()

    def _reschedule(self, host: Host[T], now: float) -> None:
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
        if host.active >= concurrency:  # until a request ends, or another process's slot is free
            return host._checked + SLOT_CHECK if len(share.held) < share.slots else float("inf")
        return max(host.paused_until, share.next)

    def _share_out(self, host: Host[T], now: float) -> None:
        """Acquire free slots of a host, or begin to release one for a process that has none.

        At most half of the missing slots, so that two processes that begin together share evenly.
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
        """Let an idle host go, some time after its last request."""
        if host._idle_since is None:
            host._idle_since = now
        if host.share.held and now < host._idle_since + LINGER:
            self._set_timer(host, host._idle_since + LINGER)
            return
        self._give_back(host)
        if now < host.paused_until:
            self._set_timer(host, host.paused_until)  # the pause must outlive the queue
            return
        host._place = _Place.NOWHERE
        del self._hosts[host.name]

    def _set_timer(self, host: Host[T], at: float) -> None:
        if host._place is not _Place.TIMER or host._due != at:
            host._place, host._due = _Place.TIMER, at
            self._count += 1
            heapq.heappush(self._timers, (at, self._count, host))
