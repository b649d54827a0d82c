"""One instance holds the lease of a copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from s3_proxy import Proxy

from derlem.core.errors import InstanceRunning
from derlem.storage import lease as leases
from derlem.storage.bucket import Bucket
from derlem.storage.lease import Lease, LeaseHeld, acquire, read_lease
from derlem.storage.places import BucketPlace
from derlem.storage.remote_log import Fenced

Take = Callable[..., Lease]


@pytest.fixture
def take(bucket: Bucket) -> Take:
    def take(name: str, seconds: float = 30.0, **options: Any) -> Lease:
        holder = {"pid": 7, "host": name, "command": "derlem run", "since": "2026-11-30T12:00:00+00:00"}
        options = {"after_generation": 0, "owner": name, **options}
        return acquire(options.pop("bucket", bucket), holder=holder, seconds=seconds, **options)

    return take


def test_a_held_lease_names_its_holder(take: Take) -> None:
    first = take("a")
    with pytest.raises(LeaseHeld, match=r"pid 7 on a, `derlem run`, since 2026-11-30T12:00") as raised:
        take("b")
    assert isinstance(raised.value, InstanceRunning) and raised.value.exit_code == 4
    first.release()
    second = take("b")
    assert second.generation == first.generation + 1
    second.release()


def test_the_same_workspace_need_not_wait_for_its_dead_process(take: Take) -> None:
    first = take("a")
    second = take("a")
    with pytest.raises(Fenced):
        first._renew()
        first.ensure()
    assert second.generation == 2
    second.ensure()
    second.release()
    first.release()  # changes nothing


def test_a_lease_that_is_not_renewed_expires(take: Take, bucket: Bucket) -> None:
    frozen = take("a", seconds=1.0)
    frozen._end.set()  # its thread stands still, as after SIGSTOP
    frozen._thread.join()
    second = take("b", wait=30.0)
    with pytest.raises(Fenced, match=r"another instance .pid 7 on b"):
        _past_its_term(frozen).ensure()
    second.release()
    found = read_lease(bucket)
    assert found is not None and found[0].released and found[0].holder["host"] == "b"


def _past_its_term(lease: Lease) -> Lease:
    lease._until = 0.0
    return lease


def test_a_pause_without_a_rival_renews_the_lease(take: Take) -> None:
    lease = _past_its_term(take("a"))
    lease.ensure()
    assert lease._until > leases.boot_clock()
    lease.release()


def test_the_thread_renews_through_an_outage(
    take: Take, place: BucketPlace, proxy: Proxy, bucket: Bucket
) -> None:
    lease = take("a", seconds=1.5, bucket=Bucket(place, endpoint_url=proxy.url))
    proxy.inject("cut_after", "PUT", times=2)
    proxy.inject("slow_down", times=4)
    before = read_lease(bucket)
    while sum(fault.times for fault in proxy.faults) or read_lease(bucket)[0].nonce == before[0].nonce:  # type: ignore[index]
        lease._end.wait(0.05)
    lease.ensure()
    with pytest.raises(LeaseHeld):
        take("b")
    lease.release()


def test_a_lost_object_does_not_reset_the_generation(take: Take, bucket: Bucket) -> None:
    first = take("a", after_generation=41)
    assert first.generation == 42
    bucket.delete([leases.NAME])
    second = take("b", after_generation=42)
    assert second.generation == 43
    second.release()
