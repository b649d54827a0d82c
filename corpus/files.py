"""Files that are whole or not there, and the hash of what was written."""

from __future__ import annotations

import hashlib
import io
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


_WRITE_BEHIND = 64 * 1024 * 1024
"""Bytes after which the next part is sent to disk."""


def write_whole(path: Path, data: bytes | str) -> None:
    """Write a small file so that a reader, and a kill at any point, sees the old one or the new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
        file.flush()
        os.fsync(file.fileno())
    move_whole(temporary, path)


def move_whole(source: Path, target: Path) -> None:
    """Rename a finished, fsynced file to its final name, and make the name last."""
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class HashingFile(io.RawIOBase):
    """Hashes and counts what is written through it to `file`, and has the disk keep up.

    Hashing and writing go side by side: the last shards leave cores idle. While more is being written, what
    was written before goes to disk in a thread of its own, so that `make_durable` has little to wait for.
    """

    def __init__(self, file: io.FileIO) -> None:
        super().__init__()
        self._file = file
        self._digest = hashlib.sha256()
        self._syncer = ThreadPoolExecutor(1)
        self._hasher = ThreadPoolExecutor(1)
        self._syncing: Future[None] | None = None
        self._synced = 0
        self.size = 0

    @property
    def sha256(self) -> str:
        """Of all bytes so far, in hex."""
        return self._digest.hexdigest()

    def writable(self) -> bool:
        """It is for writing only."""
        return True

    def tell(self) -> int:
        """Bytes so far."""
        return self.size

    def write(self, data: Buffer, /) -> int:
        """Take all of `data`, however large, and return its size."""
        view = memoryview(data).cast("B")
        hashing = self._hasher.submit(self._digest.update, view)
        done = 0
        while done < len(view):  # one write(2) takes 2 GiB at most
            done += self._file.write(view[done:]) or 0
        hashing.result()  # `data` is the caller's again
        self.size += len(view)
        if self.size - self._synced >= _WRITE_BEHIND and (self._syncing is None or self._syncing.done()):
            self._synced = self.size
            self._syncing = self._syncer.submit(os.fdatasync, self._file.fileno())
        return len(view)

    def make_durable(self) -> None:
        """Wait until all of it is on disk; OSError if some of it could not be written."""
        if self._syncing is not None:
            self._syncing.result()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let the thread end; the file itself is its owner's to close."""
        self._syncer.shutdown()
        self._hasher.shutdown()
        super().close()
