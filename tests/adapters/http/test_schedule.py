"""The schedule keeps every host's limits, serves every job, and shares hosts between processes."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem.adapters.http.fetch_options import HostLimits
from derlem.adapters.http.leases import HostLeases
from derlem.adapters.http.schedule import LINGER, Schedule


class Alone:
    """Leases without another process."""

    def __init__(self) -> None:
        self.held: set[str] = set()

    def acquire(self, host: str, slot: int) -> bool:
        self.held.add(host)
        return True

    def release(self, host: str, slot: int) -> None:
        self.held.discard(host)

    def wait(self, host: str) -> None:
        pass

    def stop_waiting(self, host: str) -> None:
        pass

    def wanted(self, host: str) -> bool:
        return False


def schedule(limits: HostLimits, leases: Any = None) -> Schedule[int]:
    return Schedule(lambda host: limits, leases or Alone(), 10)


@given(
    jobs=st.lists(st.tuples(st.integers(0, 4), st.floats(0, 20), st.floats(0.001, 3)), max_size=150),
    concurrency=st.integers(1, 4),
    rate=st.floats(0.2, 20),
    burst=st.integers(1, 8),
    pauses=st.lists(st.tuples(st.integers(0, 4), st.floats(0, 20), st.floats(0, 15)), max_size=5),
)
def test_limits_hold_and_all_jobs_are_served(
    jobs: list[tuple[int, float, float]],
    concurrency: int,
    rate: float,
    burst: int,
    pauses: list[tuple[int, float, float]],
) -> None:
    """Jobs are (host, when it comes, how long it takes); pauses (host, when, how long)."""
    limits = HostLimits(concurrency=concurrency, requests_per_second=rate, burst=burst)
    plan = schedule(limits)
    events: list[tuple[float, int, str, Any]] = []
    for number, (host, at, _) in enumerate(jobs):
        events.append((at, number, "add", (f"h{host}", number)))
    for number, (host, at, seconds) in enumerate(pauses):
        events.append((at, number, "pause", (f"h{host}", at + seconds)))
    running: list[tuple[float, Any]] = []
    started: dict[str, list[float]] = {}
    active: Counter[str] = Counter()
    paused: dict[str, float] = {}
    done = 0
    now = 0.0
    for _ in range(20_000):
        due = [event for event in events if event[0] <= now]
        events = [event for event in events if event[0] > now]
        for _, _, what, (name, value) in sorted(due):
            target = plan.host(name)
            if what == "add":
                plan.add(target, value, now)
            elif target.queue or target.active:  # only an answer causes a pause
                plan.pause(target, value, now)
                paused[name] = max(paused.get(name, 0.0), value)
        for end, ended in [entry for entry in running if entry[0] <= now]:
            running.remove((end, ended))
            active[ended.name] -= 1
            plan.finished(ended, now)
        while (taken := plan.take(now)) is not None:
            begun, job = taken
            active[begun.name] += 1
            assert active[begun.name] <= concurrency
            assert now >= paused.get(begun.name, 0.0)
            started.setdefault(begun.name, []).append(now)
            running.append((now + jobs[job][2], begun))
            done += 1
        times = [event[0] for event in events] + [end for end, _ in running]
        if (wake := plan.wake_at()) is not None:
            assert wake > now, "a wake-up time in the past causes a busy loop"
            times.append(wake)
        if not times:
            break
        now = min(times)
    assert done == len(jobs)
    for times in started.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                sent, window = last - first + 1, times[last] - times[first]
                assert sent <= burst + rate * window + 1e-6


def test_a_new_slot_has_no_tokens() -> None:
    plan = schedule(HostLimits(concurrency=8, requests_per_second=10.0, burst=5))
    for number in range(5):
        plan.add(plan.host("a"), number, 100.0)
    assert plan.take(100.0) is None
    first = plan.wake_at()
    assert first is not None and first == pytest.approx(
        100.0 + 0.1 * 5 / 3
    )  # three of five slots come at once
    assert plan.take(first)
    assert plan.take(first + 0.01) is None


class Table(Alone):
    """Leases of simulated processes: the holder of each slot."""

    def __init__(self, name: str, holders: dict[int, str]) -> None:
        super().__init__()
        self.name, self.holders = name, holders

    def acquire(self, host: str, slot: int) -> bool:
        return self.holders.setdefault(slot, self.name) == self.name


@pytest.mark.parametrize(("slots", "held"), [(8, [4, 4]), (5, [3, 2]), (3, [2, 1]), (1, [1, 0])])
def test_two_processes_share_a_host_evenly_at_the_start(slots: int, held: list[int]) -> None:
    holders: dict[int, str] = {}
    limits = HostLimits(concurrency=slots, requests_per_second=1000.0, burst=slots)
    for name in "ab":
        plan = schedule(limits, Table(name, holders))
        plan.add(plan.host("shared"), 1, 0.0)
        plan.take(0.0)
    assert [Counter(holders.values())[name] for name in "ab"] == held


def test_a_single_process_soon_acquires_all_slots() -> None:
    plan = schedule(HostLimits(concurrency=8, requests_per_second=1e6, burst=8), Table("a", {}))
    for number in range(20):
        plan.add(plan.host("slow"), number, 0.0)
    taken = 0
    for tick in range(100):  # a second, in which no request ends
        while plan.take(tick / 100):
            taken += 1
    assert taken == 8


def test_hosts_take_turns() -> None:
    plan = schedule(HostLimits(concurrency=10, requests_per_second=1e6, burst=10))
    for name, count in (("big", 50), ("small", 3), ("other", 3)):
        for number in range(count):
            plan.add(plan.host(name), number, 0.0)
    order = [host.name for host, _ in (plan.take(1.0) for _ in range(9)) if host]  # type: ignore[misc]  # never None
    assert Counter(order) == {"big": 3, "small": 3, "other": 3}


def test_slots_of_idle_hosts_are_released() -> None:
    leases = Alone()
    plan = schedule(HostLimits(concurrency=1, requests_per_second=100.0, burst=1), leases)
    plan.add(plan.host("a"), 1, 0.0)
    taken = plan.take(0.01)
    assert taken and leases.held == {"a"}
    plan.finished(taken[0], 0.5)
    wake = plan.wake_at()
    assert wake == 0.5 + LINGER
    assert plan.take(wake) is None
    assert leases.held == set()
    assert plan.wake_at() is None


HOLD = """
import sys
from pathlib import Path
from derlem.adapters.http.leases import HostLeases
leases = HostLeases(Path(sys.argv[1]))
print(leases.acquire("a.example", 0), flush=True)
sys.stdin.read()
"""

ASK = """
import sys, time
from pathlib import Path
from derlem.adapters.http.leases import HostLeases
from derlem.adapters.http.fetch_options import HostLimits
from derlem.adapters.http.schedule import Schedule
concurrency, burst = map(int, sys.argv[2:])
limits = HostLimits(concurrency=concurrency, requests_per_second=40.0, burst=burst)
leases = HostLeases(Path(sys.argv[1]))
plan = Schedule(lambda host: limits, leases, 10)
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    plan.add(plan.host("shared.example"), number, time.monotonic())
done = 0
while done < 40:
    now = time.monotonic()
    taken = plan.take(now)
    if taken is None:
        time.sleep(0.002)
        continue
    print(now, flush=True)
    plan.finished(taken[0], time.monotonic())
    done += 1
plan.close()
"""


def _process(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_slot_belongs_to_one_process(tmp_path: Path) -> None:
    with _process(HOLD, tmp_path / "leases") as process:
        assert process.stdout and process.stdout.readline() == "True\n"
        leases = HostLeases(tmp_path / "leases")
        assert leases.acquire("b.example", 0)
        assert not leases.acquire("a.example", 0)
        assert leases.acquire("a.example", 1)
        process.kill()  # the kernel releases the locks of a dead process
        process.wait()
        assert leases.acquire("a.example", 0)
        leases.close()


@pytest.mark.parametrize(("concurrency", "burst"), [(2, 1), (1, 3), (4, 4), (5, 2)])
def test_processes_share_a_host_without_exceeding_its_limits(
    concurrency: int, burst: int, tmp_path: Path
) -> None:
    """Three processes with 40 requests each for one host at 40 per second keep this rate together."""
    arguments = (str(concurrency), str(burst))
    processes = [_process(ASK, tmp_path / "leases", *arguments) for _ in range(3)]
    for process in processes:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    spoken = []
    for name, process in enumerate(processes):
        assert process.stdout
        spoken += [(float(line), name) for line in process.stdout]
        assert process.wait() == 0
    spoken.sort()
    assert len(spoken) == 120
    times = [at for at, _ in spoken]
    for first, last in itertools.combinations(range(120), 2):
        assert last - first + 1 <= burst + 40.0 * (times[last] - times[first]) + 1e-3
    assert times[-1] - times[0] < 120 / 40 * 2, "little is lost by sharing"
    third = [name for _, name in spoken[:60]]
    assert len(set(third)) > 1, "no slot waits for the others to end"
