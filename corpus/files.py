"""Files that are whole or not there, and the hash of what was written."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


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
    """Hashes and counts what is written through it to `file`; without a file it only hashes and counts."""

    def __init__(self, file: io.RawIOBase | None = None) -> None:
        super().__init__()
        self._file = file
        self._digest = hashlib.sha256()
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
        self._digest.update(view)
        self.size += len(view)
        if self._file is not None:
            done = 0
            while done < len(view):  # one write(2) takes 2 GiB at most
                done += self._file.write(view[done:]) or 0
        return len(view)
