"""Durable, atomic files, and the errors of a disk that accepts no more writes.

A file that readers may open is written under a temporary name, flushed to the disk and renamed, and its
folder is flushed: after a kill or a power failure at any point, either the old or the new file is complete.

A failed write is not the failure of an item and ends the run. Libraries report failed writes differently:
Python and pyarrow by an errno, SQLite by a code, DuckDB by the system's text in its message.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import DerlemError, chain

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {*_FULL, errno.EROFS, errno.EFBIG}
_SQLITE_FULL = 13
"""sqlite3.SQLITE_FULL; every command imports this module, few import sqlite3."""
_WORDS = {os.strerror(number): number for number in _REFUSED}


class DiskError(DerlemError):
    """A write failed; `number` is the errno, `path` the file or folder, if known."""

    def __init__(self, number: int, path: object = None) -> None:
        self.number, self.path = number, path
        where = f" in {path}" if path else ""
        advice = "make room" if number in _FULL else "correct that"
        super().__init__(
            f"cannot write{where}: {os.strerror(number)}. "
            f"Nothing that was committed is lost: {advice}, and the same command goes on"
        )


@contextmanager
def writing(path: object) -> Iterator[None]:
    """Raise a DiskError at `path` for every OSError of the block."""
    try:
        yield
    except OSError as error:
        raise DiskError(error.errno or errno.EIO, path) from error


@contextmanager
def creating(path: Path) -> Iterator[BinaryIO]:
    """A new file, complete and flushed to the disk at the end of the block; removed on an exception.

    Its name is durable only after `rename`. An OSError in the block becomes a DiskError.
    """
    try:
        with writing(path.parent), path.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that replaces `path` at the end of the block; removed on an exception.

    An OSError in the block becomes a DiskError.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    with creating(temporary) as file:
        yield file
    try:
        rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def create_private(path: Path) -> None:
    """Create an empty file that its owner alone can read, unless the file exists. DiskError on failure."""
    with writing(path.parent):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def replace_file(path: Path, data: bytes | str) -> None:
    """Replace the content of a small file; text is written as UTF-8. DiskError on failure."""
    with replacing(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def rename(source: Path, target: Path) -> None:
    """Rename a flushed file to its final name, and flush the folder. DiskError on failure."""
    with writing(target.parent):
        source.replace(target)
        _sync(target.parent)


def sync_file(path: Path) -> None:
    """Flush a file of another library to the disk. DiskError on failure."""
    with writing(path):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_error(error: BaseException) -> DiskError | None:
    """Return a DiskError if the cause of a (wrapped) error is a failed write, else None."""
    for seen in chain(error):
        if isinstance(seen, DiskError):
            return seen
        if isinstance(seen, OSError) and seen.errno in _REFUSED:
            return DiskError(seen.errno, seen.filename)
        if getattr(seen, "sqlite_errorcode", None) == _SQLITE_FULL:
            return DiskError(errno.ENOSPC)
        if type(seen).__module__.endswith("duckdb"):
            for words, number in _WORDS.items():
                if words in str(seen):
                    return DiskError(number)
    return None
