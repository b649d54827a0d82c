"""A full disk is distinguished from every other error, whichever library reports it."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from derlem.core.durable import DiskError, disk_error, writing

DUCKDB = """
import resource, sys
import duckdb
from derlem.core.durable import disk_error
resource.setrlimit(resource.RLIMIT_FSIZE, (2**21, 2**21))
connection = duckdb.connect(sys.argv[1])
try:
    connection.execute("CREATE TABLE t AS SELECT md5(CAST(i AS VARCHAR)) AS a FROM range(500000) AS r(i)")
    connection.execute("CHECKPOINT")
except duckdb.Error as error:
    print(disk_error(error).number)
"""


def test_python_says_it_with_an_errno() -> None:
    with (
        pytest.raises(OSError, match="No space left") as caught,
        Path("/dev/full").open("wb", buffering=0) as file,
    ):
        file.write(b"x")
    found = disk_error(caught.value)
    assert found is not None
    assert found.number == errno.ENOSPC
    assert "make room" in str(found)


def test_sqlite_says_it_with_a_code(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "a.sqlite")
    connection.execute("PRAGMA max_page_count = 2")
    connection.execute("CREATE TABLE t (a BLOB)")
    with pytest.raises(sqlite3.OperationalError, match="full") as caught:
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    connection.close()
    found = disk_error(caught.value)
    assert found is not None
    assert found.number == errno.ENOSPC


def test_duckdb_says_it_in_its_message(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DUCKDB, tmp_path / "a.duckdb"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(errno.EFBIG)], done.stderr


def test_it_is_found_below_other_errors(tmp_path: Path) -> None:
    def fail() -> None:
        try:
            with writing(tmp_path):
                raise OSError(errno.EROFS, "read-only")
        except DiskError:
            raise ValueError("a library's own") from None

    with pytest.raises(ValueError, match="own") as caught:
        fail()
    found = disk_error(caught.value)
    assert found is not None
    assert (found.number, found.path) == (errno.EROFS, tmp_path)
    assert str(tmp_path) in str(found)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EACCES, "not allowed"),
        FileNotFoundError(errno.ENOENT, "gone"),
        OSError("no number"),
        ValueError("No space left on device"),
        duckdb.IOException("IO Error: no such file"),
        sqlite3.OperationalError("database is locked"),
    ],
)
def test_other_errors_are_none_of_its(error: Exception) -> None:
    assert disk_error(error) is None
