"""Transfers files to and from a bucket, verified by sha256: in parallel, resumable, at a limited rate."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..core.durable import creating, rename
from ..core.errors import DerlemError
from .bucket import Bucket, ObjectMissing
from .transfer_pool import TransferPool

PART = 16 * 1024**2
"""Bytes of a part, and the size up to which an object is one request."""
MAX_PARTS = 10_000

_SHA256 = "sha256"

T = TypeVar("T")


class DamagedObject(DerlemError):
    """The content of an object differs from its sha256."""

    def __init__(self, name: str, found: str, expected: str) -> None:
        self.name, self.found, self.expected = name, found, expected
        super().__init__(f"{name}: the object has sha256 {found[:12]}... instead of {expected[:12]}...")


class FileChanged(DerlemError):
    """A file changed between its hash and its upload."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path} changed during its upload")


class Limiter:
    """Limits the bytes per second of all threads; None for no limit."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._free_at = 0.0
        self._lock = threading.Lock()

    def take(self, size: int, stop: threading.Event) -> None:
        """Wait until `size` more bytes may be transferred, or `stop` is set."""
        if self._rate is None:
            return
        with self._lock:
            now = time.monotonic()
            start = max(now, self._free_at)
            self._free_at = start + size / self._rate
        stop.wait(max(0.0, start - now))


@dataclass(frozen=True, slots=True)
class Transfers:
    """Transfers files over a pool of threads."""

    bucket: Bucket
    pool: TransferPool
    limiter: Limiter

    def upload(self, path: Path, name: str, sha256: str, size: int) -> None:
        """Store a file under a name that no other content has. Raises FileChanged and BucketError."""
        for _ in self.uploads([(path, name, sha256, size)]):
            pass

    def uploads(self, files: Iterable[tuple[Path, str, str, int]]) -> Iterator[str]:
        """Store files (path, name, sha256, size) in parallel, and yield each name when it is stored."""
        tasks = []
        large = []
        for path, name, sha256, size in files:
            if size > PART:
                large.append((path, name, sha256, size))
            else:
                tasks.append(self.pool.submit(self._upload_small, path, name, sha256, size))
        yield from _completed(tasks)
        for path, name, sha256, size in large:
            self._upload_large(path, name, sha256, size)
            yield name

    def download(self, name: str, path: Path, sha256: str, size: int) -> None:
        """Write an object to a file, which appears complete. Raises DamagedObject and BucketError."""
        for _ in self.downloads([(name, path, sha256, size)]):
            pass

    def downloads(self, files: Iterable[tuple[str, Path, str, int]]) -> Iterator[Path]:
        """Write objects (name, path, sha256, size) in parallel, and yield each path when it is complete."""
        tasks = []
        large = []
        for name, path, sha256, size in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            if size > PART:
                large.append((name, path, sha256, size))
            else:
                tasks.append(self.pool.submit(self._download_small, name, path, sha256, size))
        yield from _completed(tasks)
        for name, path, sha256, size in large:
            self._download_large(name, path, sha256, size)
            yield path

    def _upload_small(self, path: Path, name: str, sha256: str, size: int) -> str:
        data = path.read_bytes()
        if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
            raise FileChanged(path)
        self.limiter.take(size, self.bucket.stop)
        self.bucket.write(name, data, {_SHA256: sha256})
        return name

    def _upload_large(self, path: Path, name: str, sha256: str, size: int) -> None:
        """Upload in parts; parts of an interrupted upload of the same content are kept."""
        step = max(PART, -(-size // MAX_PARTS))
        upload, present = self._open_upload(name, sha256, size, step)
        parts: dict[int, str] = dict(present)
        where = {"Bucket": self.bucket.place.bucket, "Key": self.bucket.place.key(name), "UploadId": upload}
        digest = hashlib.sha256()

        def send(number: int, data: bytes) -> tuple[int, str]:
            self.limiter.take(len(data), self.bucket.stop)
            answer = self.bucket.call(
                f"write part {number} of {name}",
                lambda: self.bucket.client.upload_part(
                    **where, PartNumber=number, Body=data, **self.bucket.checksum(data)
                ),
            )
            return number, answer["ETag"]

        tasks: list[Future[tuple[int, str]]] = []
        try:
            with path.open("rb") as file:
                for number in range(1, -(-size // step) + 1):
                    data = file.read(step)
                    digest.update(data)
                    if number not in parts:
                        while sum(not task.done() for task in tasks) >= self.pool.threads:
                            wait([task for task in tasks if not task.done()], return_when=FIRST_COMPLETED)
                        tasks.append(self.pool.submit(send, number, data))
                changed = bool(file.read(1)) or digest.hexdigest() != sha256
            parts.update(_completed(tasks))
        finally:
            wait(tasks)
        if changed:
            self.bucket.call("abort", lambda: self.bucket.client.abort_multipart_upload(**where))
            raise FileChanged(path)
        listed = [{"PartNumber": number, "ETag": parts[number]} for number in sorted(parts)]
        try:
            self.bucket.call(
                f"complete {name}",
                lambda: self.bucket.client.complete_multipart_upload(
                    **where, MultipartUpload={"Parts": listed}
                ),
            )
        except ObjectMissing:
            if not self._is_stored(name, sha256, size):  # otherwise a lost answer was repeated
                raise

    def _is_stored(self, name: str, sha256: str, size: int) -> bool:
        try:
            found = self.bucket.call(
                f"look at {name}",
                lambda: self.bucket.client.head_object(
                    Bucket=self.bucket.place.bucket, Key=self.bucket.place.key(name)
                ),
            )
        except ObjectMissing:
            return False
        return bool(found["ContentLength"] == size and found.get("Metadata", {}).get(_SHA256) == sha256)

    def _open_upload(self, name: str, sha256: str, size: int, step: int) -> tuple[str, dict[int, str]]:
        """Return an upload of the same object that was interrupted, and its complete parts; or a new one."""
        client, bucket, key = self.bucket.client, self.bucket.place.bucket, self.bucket.place.key(name)
        found = self.bucket.call(
            f"uploads of {name}", lambda: client.list_multipart_uploads(Bucket=bucket, Prefix=key)
        )
        for upload in sorted(found.get("Uploads", ()), key=lambda each: each["Initiated"], reverse=True):
            if upload["Key"] != key:
                continue
            where = {"Bucket": bucket, "Key": key, "UploadId": upload["UploadId"]}
            try:
                parts = self._parts(where)
            except ObjectMissing:
                continue
            sizes = {number: min(step, size - (number - 1) * step) for number in parts}
            if all(part_size == sizes[number] for number, (part_size, _) in parts.items()):
                return upload["UploadId"], {number: etag for number, (_, etag) in parts.items()}
        created = self.bucket.call(
            f"begin {name}",
            lambda: client.create_multipart_upload(
                Bucket=bucket, Key=key, Metadata={_SHA256: sha256}, **self.bucket.encryption
            ),
        )
        return created["UploadId"], {}

    def abort_uploads(self) -> None:
        """Abort the interrupted uploads below the place, which the server keeps and bills."""
        client, place = self.bucket.client, self.bucket.place
        prefix = place.key("")
        found = self.bucket.call(
            "list uploads", lambda: client.list_multipart_uploads(Bucket=place.bucket, Prefix=prefix)
        )
        for upload in found.get("Uploads", ()):
            where = {"Bucket": place.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
            with suppress(ObjectMissing):
                self.bucket.call("abort an upload", lambda: client.abort_multipart_upload(**where))  # noqa: B023

    def _parts(self, where: dict[str, str]) -> dict[int, tuple[int, str]]:
        parts: dict[int, tuple[int, str]] = {}
        marker: dict[str, int] = {}
        while True:
            page = self.bucket.call(
                "list parts",
                lambda: self.bucket.client.list_parts(**where, **marker),  # noqa: B023
            )
            parts |= {part["PartNumber"]: (part["Size"], part["ETag"]) for part in page.get("Parts", ())}
            if not page.get("IsTruncated"):
                return parts
            marker = {"PartNumberMarker": page["NextPartNumberMarker"]}

    def _download_small(self, name: str, path: Path, sha256: str, size: int) -> Path:
        self.limiter.take(size, self.bucket.stop)
        found = self.bucket.read(name)
        if found is None:
            raise ObjectMissing(self.bucket.place, f"read {name}", "it is missing", transient=False)
        digest = hashlib.sha256(found.data).hexdigest()
        if digest != sha256:
            raise DamagedObject(name, digest, sha256)
        with _complete(path) as temporary, creating(temporary) as file:
            file.write(found.data)
        return path

    def _download_large(self, name: str, path: Path, sha256: str, size: int) -> None:
        with _complete(path) as temporary:
            handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)

            def fetch(start: int) -> int:
                length = min(PART, size - start)
                self.limiter.take(length, self.bucket.stop)
                return os.pwrite(handle, self.bucket.read_range(name, start, length), start)

            tasks = [self.pool.submit(fetch, start) for start in range(0, size, PART)]
            try:
                for _ in _completed(tasks):
                    pass
                os.fsync(handle)
            finally:
                wait(tasks)  # no thread writes to a closed handle
                os.close(handle)
            digest = file_sha256(temporary)
            if digest != sha256:
                raise DamagedObject(name, digest, sha256)


@contextmanager
def _complete(path: Path) -> Iterator[Path]:
    """A temporary name, renamed to `path` at the end of the block; the file is removed on an exception."""
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        yield temporary
        rename(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _completed(tasks: list[Future[T]]) -> Iterator[T]:
    """Yield results; at the first exception, cancel the tasks that have not started, and raise it."""
    done, rest = wait(tasks, return_when=FIRST_EXCEPTION)
    for task in rest:
        task.cancel()
    wait(rest)
    for task in done:
        yield task.result()


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
