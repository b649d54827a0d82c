"""Files to a bucket and back, in parts, resumed and verified."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_proxy import Proxy

from derlem.storage.bucket import Bucket, BucketError
from derlem.storage.places import BucketPlace
from derlem.storage.transfer import DamagedObject, FileChanged, Limiter, Transfers
from derlem.storage.transfer_pool import TransferPool

PART = 5 * 2**20  # the smallest that S3 takes


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derlem.storage.transfer.PART", PART)


@pytest.fixture
def pool() -> Iterator[TransferPool]:
    pool = TransferPool(4)
    yield pool
    pool.close()


@pytest.fixture
def transfers(place: BucketPlace, proxy: Proxy, pool: TransferPool) -> Transfers:
    """Transfers through the proxy."""
    return Transfers(Bucket(place, endpoint_url=proxy.url), pool, Limiter(None))


def written(path: Path, size: int) -> tuple[Path, str, int]:
    data = random.Random(size).randbytes(size)
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest(), size


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, 2 * PART + 12345])
def test_there_and_back(transfers: Transfers, tmp_path: Path, size: int) -> None:
    path, sha256, size = written(tmp_path / "a", size)
    transfers.upload(path, "files/a", sha256, size)
    transfers.download("files/a", tmp_path / "b" / "c", sha256, size)
    assert (tmp_path / "b" / "c").read_bytes() == path.read_bytes()
    assert not list(tmp_path.rglob(".*")), "no temporary file is left"


def test_an_interrupted_upload_is_resumed(transfers: Transfers, proxy: Proxy, tmp_path: Path) -> None:
    path, sha256, size = written(tmp_path / "a", 3 * PART + 1)
    transfers.bucket.stop.set()  # one attempt for each request, as at the end of a process
    refused = proxy.inject("slow_down", "POST")
    refused.matches = lambda method, path: method == "POST" and "completed" not in path and bool(parts())

    def parts() -> list[int]:
        return [request.sent for request in proxy.requests if "partNumber" in request.query]

    with pytest.raises(BucketError):
        transfers.upload(path, "files/a", sha256, size)
    assert len(parts()) == 4
    refused.times = 0
    before = proxy.sent()
    transfers.upload(path, "files/a", sha256, size)
    assert proxy.sent() - before < 10_000, "no part is sent again"
    transfers.download("files/a", tmp_path / "b", sha256, size)


def test_parts_through_faults(transfers: Transfers, proxy: Proxy, tmp_path: Path) -> None:
    path, sha256, size = written(tmp_path / "a", 2 * PART + 5)
    for action in ("slow_down", "cut", "cut_after", "truncate"):
        proxy.inject(action, chance=0.2, times=6)
    transfers.upload(path, "files/a", sha256, size)
    transfers.download("files/a", tmp_path / "b", sha256, size)
    assert (tmp_path / "b").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("size", [100, PART + 100])
def test_a_damaged_object_is_not_taken(transfers: Transfers, tmp_path: Path, size: int) -> None:
    path, sha256, size = written(tmp_path / "a", size)
    transfers.upload(path, "files/a", sha256, size)
    other, other_sha256, _ = written(tmp_path / "c", size)
    other.write_bytes(b"x" + other.read_bytes()[1:])
    with pytest.raises(DamagedObject):
        transfers.download("files/a", tmp_path / "b", other_sha256 if size == 0 else "0" * 64, size)
    assert not (tmp_path / "b").exists() and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("size", [100, PART + 100])
def test_a_file_that_changed_after_its_hash(transfers: Transfers, tmp_path: Path, size: int) -> None:
    path, sha256, size = written(tmp_path / "a", size)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(FileChanged):
        transfers.upload(path, "files/a", sha256, size)
    assert transfers.bucket.read("files/a") is None
    client, place = transfers.bucket.client, transfers.bucket.place
    assert not client.list_multipart_uploads(Bucket=place.bucket, Prefix=place.key("")).get("Uploads")


def test_left_uploads_are_aborted(transfers: Transfers) -> None:
    client, place = transfers.bucket.client, transfers.bucket.place
    for key in (place.key("files/a"), f"{place.prefix}-beside/b"):
        client.create_multipart_upload(Bucket=place.bucket, Key=key)
    transfers.abort_uploads()
    left = client.list_multipart_uploads(Bucket=place.bucket, Prefix=place.prefix).get("Uploads", [])
    assert [upload["Key"] for upload in left] == [f"{place.prefix}-beside/b"]


def test_the_limit_of_bandwidth_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten transfers of a second each wait 0 to 9 seconds: the clock stands still."""
    waits: list[float] = []
    stop = threading.Event()
    monkeypatch.setattr("derlem.storage.transfer.time.monotonic", lambda: 100.0)
    monkeypatch.setattr(stop, "wait", waits.append)
    limiter = Limiter(1000)
    for _ in range(10):
        limiter.take(1000, stop)
    assert waits == [float(number) for number in range(10)]
    Limiter(None).take(10**12, stop)
    assert len(waits) == 10
