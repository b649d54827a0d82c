"""Tells a disk that takes no more from every other error: such a fault is no item's, and ends the run.

Who writes, reports it in a way of its own: Python and pyarrow with an errno, SQLite with a code, DuckDB with
the system's words in its message.
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import DerlemError, chain

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {*_FULL, errno.EROFS, errno.EFBIG}
_WORDS = {os.strerror(number): number for number in _REFUSED}


class DiskError(DerlemError):
    """What derlem writes could not be written; `number` is the errno, `path` where, if known."""

    def __init__(self, number: int, path: object = None) -> None:
        self.number, self.path = number, path
        where = f" in {path}" if path else ""
        advice = "make room" if number in _FULL else "mend that"
        super().__init__(
            f"cannot write{where}: {os.strerror(number)}. "
            f"Nothing that was committed is lost: {advice}, and the same command goes on"
        )


@contextmanager
def writing(path: object) -> Iterator[None]:
    """Here we write: whatever the system refuses, at `path`, is a DiskError."""
    try:
        yield
    except OSError as error:
        raise DiskError(error.errno or errno.EIO, path) from error


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` at the end, whole and durable, or leaves nothing behind."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with writing(path.parent), temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def disk_error(error: BaseException) -> DiskError | None:
    """The same as a DiskError, if the cause of an error, however wrapped, is that the disk takes no more."""
    for seen in chain(error):
        if isinstance(seen, DiskError):
            return seen
        if isinstance(seen, OSError) and seen.errno in _REFUSED:
            return DiskError(seen.errno, seen.filename)
        if getattr(seen, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return DiskError(errno.ENOSPC)
        if type(seen).__module__.endswith("duckdb"):
            for words, number in _WORDS.items():
                if words in str(seen):
                    return DiskError(number)
    return None
