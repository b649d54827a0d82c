"""Hashes files, one that is there and one that is written, past the page cache; puts shards in place."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import mmap
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.durable import rename
from .layout import index_path

if TYPE_CHECKING:
    from typing_extensions import Buffer


BUFFER = 4 * 1024 * 1024
"""Bytes that are hashed and written at a time; two such buffers are held."""


def hash_file(path: Path) -> str:
    """The sha256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_shard(temporary: Path, shard: Path) -> None:
    """Give a finished shard its name. The index of its predecessor is removed first: it has other offsets."""
    index_path(shard).unlink(missing_ok=True)
    rename(temporary, shard)


class HashingFile(io.RawIOBase):
    """Hashes and counts what is written through it to `file`.

    Making the bytes goes on while those before are hashed and written. Where the file system can
    (`O_DIRECT`), they go to disk past the page cache: a corpus is larger than memory, and filling fresh
    pages cost more than all the rest. What was cached stays, such as the segments to be read.
    """

    def __init__(self, file: io.FileIO) -> None:
        super().__init__()
        self._file = file
        self._direct = _set_direct(file.fileno(), True)
        self._digest = hashlib.sha256()
        self._hasher = ThreadPoolExecutor(1)
        self._writer = ThreadPoolExecutor(1)
        self._buffers = [memoryview(mmap.mmap(-1, BUFFER)) for _ in range(2)]  # aligned, as O_DIRECT demands
        self._filled = 0
        self._working: list[Future[None]] = []
        self.size = 0

    @property
    def sha256(self) -> str:
        """Of all bytes that `make_durable` saw, in hex."""
        return self._digest.hexdigest()

    def writable(self) -> bool:
        """It is for writing only."""
        return True

    def tell(self) -> int:
        """Bytes so far."""
        return self.size

    def write(self, data: Buffer, /) -> int:
        """Take all of `data`, however large, and return its size; OSError if earlier bytes found no room."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            part = view[done : done + BUFFER - self._filled]
            self._buffers[0][self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            done += len(part)
            if self._filled == BUFFER:
                self._pass_on()
        self.size += len(view)
        return len(view)

    def make_durable(self) -> None:
        """Wait until all of it is on disk; OSError if some of it could not be written."""
        self._pass_on()
        self._wait()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let the threads end; the file itself is its owner's to close."""
        self._hasher.shutdown()
        self._writer.shutdown()
        super().close()

    def _pass_on(self) -> None:
        """Have the full buffer hashed and written, and go on with the other one, once that is free."""
        self._wait()
        block = self._buffers[0][: self._filled]
        self._working = [
            self._hasher.submit(self._digest.update, block),
            self._writer.submit(self._put, block),
        ]
        self._buffers.reverse()
        self._filled = 0

    def _wait(self) -> None:
        working, self._working = self._working, []
        for step in working:
            step.result()

    def _put(self, block: memoryview) -> None:
        done = 0
        while done < len(block):
            try:
                done += self._file.write(block[done:]) or 0
            except OSError as error:
                if error.errno != errno.EINVAL or not self._direct:
                    raise OSError(error.errno, error.strerror, self._file.name) from error
                # the file system promised more than it can, or this is an end of odd length
                self._direct = _set_direct(self._file.fileno(), False)


def _set_direct(descriptor: int, wanted: bool) -> bool:
    """Turn writing past the page cache on or off; whether it is on now."""
    flag = getattr(os, "O_DIRECT", 0)
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | flag if wanted else flags & ~flag)
    except OSError:  # not on this file system
        return False
    return wanted and flag != 0
