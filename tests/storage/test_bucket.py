"""Objects of a real S3 server, read and written through faults."""

from __future__ import annotations

import threading

import pytest
from s3_proxy import Proxy
from seaweed import Seaweed

from derlem.storage.bucket import Bucket, BucketError, ConditionFailed
from derlem.storage.places import BucketPlace


@pytest.fixture
def faulty(place: BucketPlace, proxy: Proxy) -> Bucket:
    """The bucket behind the proxy."""
    return Bucket(place, endpoint_url=proxy.url)


@pytest.mark.parametrize("action", ["slow_down", "cut", "cut_after", "truncate", "delay"])
def test_a_transient_fault_is_repeated(faulty: Bucket, proxy: Proxy, action: str) -> None:
    for method in ("PUT", "GET"):
        proxy.inject(action, method, times=3, seconds=0.1)  # type: ignore[arg-type]
    data = bytes(range(256)) * 100
    faulty.write("a", data, {"sha256": "x"})
    found = faulty.read("a")
    assert found is not None and found.data == data and found.metadata["sha256"] == "x"
    assert faulty.read_range("a", 1000, 500) == data[1000:1500]
    assert proxy.faults[1].times == 0 or action == "delay"


@pytest.mark.parametrize("action", ["slow_down", "conflict", "cut", "cut_after"])
def test_conditional_writes_through_faults(faulty: Bucket, proxy: Proxy, action: str) -> None:
    """After a lost answer the server refuses the repeated write, which did succeed."""
    proxy.inject(action, "PUT", times=2)  # type: ignore[arg-type]
    etag = faulty.create("a", b"first")
    proxy.inject(action, "PUT", times=2)  # type: ignore[arg-type]
    etag = faulty.swap("a", b"second", etag)
    found = faulty.read("a")
    assert found is not None and (found.data, found.etag) == (b"second", etag)


def test_a_condition_that_does_not_hold(bucket: Bucket) -> None:
    etag = bucket.create("a", b"first")
    with pytest.raises(ConditionFailed):
        bucket.create("a", b"other")
    bucket.swap("a", b"second", etag)
    with pytest.raises(ConditionFailed):
        bucket.swap("a", b"third", etag)
    with pytest.raises(ConditionFailed):
        bucket.swap("missing", b"x", etag)
    found = bucket.read("a")
    assert found is not None and found.data == b"second"
    with pytest.raises(ConditionFailed):
        bucket.read_range("a", 0, 1, etag)


def test_one_of_many_creates_succeeds(bucket: Bucket) -> None:
    for number in range(5):
        results: list[bool] = []
        start = threading.Barrier(6)

        def race(mine: bytes, name: str = f"race/{number}", start: threading.Barrier = start) -> None:
            start.wait()
            try:
                bucket.create(name, mine)
                results.append(True)  # noqa: B023 - the threads end within the loop's turn
            except ConditionFailed:
                results.append(False)  # noqa: B023

        threads = [threading.Thread(target=race, args=(bytes([each]),)) for each in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [False] * 5 + [True]


def test_a_server_that_compares_etags_without_quotes(
    faulty: Bucket, bucket: Bucket, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = faulty.create("a", b"first")
    put = faulty.client.put_object

    def without_quotes(**arguments: object) -> object:
        condition = str(arguments.get("IfMatch", ""))
        if condition.startswith('"'):
            arguments["IfMatch"] = '"another"'
        return put(**arguments)

    monkeypatch.setattr(faulty.client, "put_object", without_quotes)
    faulty.swap("a", b"second", etag)
    found = bucket.read("a")
    assert found is not None and found.data == b"second"


def test_listing_and_deleting(bucket: Bucket, place: BucketPlace, seaweed: Seaweed) -> None:
    names = [f"files/{number:04d}" for number in range(1100)]
    for name in names[:3]:
        bucket.write(name, b"x")
    beside = Bucket(BucketPlace(place.bucket, f"{place.prefix}-other"), endpoint_url=seaweed.url)
    beside.write("files/0000", b"of another copy")
    assert [each.name for each in bucket.list("files/")] == names[:3]
    assert [each.name for each in bucket.list("files/", after="files/0001")] == names[2:3]
    bucket.delete(names)  # more than one request holds, and most are missing
    assert not list(bucket.list())
    assert [each.size for each in beside.list()] == [15]


def test_errors_name_the_place_and_the_cause(place: BucketPlace, proxy: Proxy) -> None:
    nowhere = Bucket(BucketPlace("no-such-bucket-here", ""), endpoint_url=proxy.url)
    with pytest.raises(BucketError, match="s3://no-such-bucket-here: list"):
        list(nowhere.list())
    closed = Bucket(place, endpoint_url="http://127.0.0.1:9")
    closed.stop.set()  # one attempt
    with pytest.raises(BucketError, match="Could not connect") as raised:
        closed.read("a")
    assert raised.value.transient


@pytest.mark.parametrize("url", ["bucket/x", "s3://", "https://b/x", "s3://a@b/x", "s3://b//x", "s3://b/x?y"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="s3://"):
        BucketPlace.parse(url)


def test_an_address_and_its_names() -> None:
    place = BucketPlace.parse("s3://bucket/a/b/")
    assert (place.key("x"), place.name("a/b/x"), str(place)) == ("a/b/x", "x", "s3://bucket/a/b")
    assert BucketPlace.parse("s3://bucket").key("x") == "x"
