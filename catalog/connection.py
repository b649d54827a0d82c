"""Opens the DuckDB file: for any reader between commits, and for the coordinator, the only writer."""

from __future__ import annotations

import json
import re
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from graphlib import TopologicalSorter
from pathlib import Path

import duckdb

from ..core.durable import disk_error
from ..core.errors import (
    CatalogBusy,
    CatalogMemory,
    CatalogMissing,
    CatalogUnreadable,
    CatalogVersionError,
    chain,
)
from ..core.startup import probe_pandas
from ..core.workspace import Workspace
from .queries import SCHEMA_VERSION, names, query

READ_WAIT = 5.0
"""Maximum seconds that a reader waits for the end of a commit."""
WRITE_WAIT = 60.0
"""Maximum seconds that the coordinator waits for readers to close the file."""
_IN_USE = (
    "Could not set lock",
    "different configuration than existing connections",
    "Unique file handle conflict",
)
"""Messages of DuckDB where another process, or another connection of this process, holds the file."""


@contextmanager
def read_catalog(workspace: Workspace, wait: float = READ_WAIT) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a read-only connection; wait at most `wait` seconds for a running commit.

    Raises CatalogMissing, CatalogVersionError and the exceptions of `opened`.
    """
    if not workspace.catalog.exists():
        raise CatalogMissing(workspace.catalog)
    with opened(workspace, read_only=True, wait=wait) as connection:
        check_version(connection, workspace.catalog)
        yield connection


@contextmanager
def write_catalog(workspace: Workspace, wait: float = WRITE_WAIT) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a writing connection; create a missing catalog. The caller must hold the workspace's lock.

    This function does not commit: use `transaction` around each change. Raises CatalogVersionError and the
    exceptions of `opened`.
    """
    probe_pandas()
    workspace.root.mkdir(parents=True, exist_ok=True)
    with opened(workspace, read_only=False, wait=wait) as connection:
        if _is_empty(connection):
            workspace.catalog.chmod(0o600)  # URLs may contain secrets
            with transaction(connection):
                create_schema(connection)
        check_version(connection, workspace.catalog)
        yield connection


@contextmanager
def opened(workspace: Workspace, *, read_only: bool, wait: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection for the block, without a check of the schema version.

    Raises the exceptions of `connect`, CatalogUnreadable for damage that a query in the block reads, and
    CatalogMemory for a query in the block that needs more memory than DuckDB may use.
    """
    with (
        reporting_memory(workspace),
        reporting_damage(workspace),
        _arrow_results(),
        closing(connect(workspace, read_only=read_only, wait=wait)) as connection,
        interruptible(connection),
    ):
        yield connection


@contextmanager
def _arrow_results() -> Iterator[None]:
    """Ignore DuckDB 2's warning about Arrow results in the block.

    The recommended call supports no bound values, and uses one thread in DuckDB 1.
    """
    if duckdb.__version__.startswith("1."):
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Arrow output on a DB-API result")
        yield


def settings(workspace: Workspace) -> dict[str, str | bool | int | float | list[str]]:
    """DuckDB's settings for a database of the workspace."""
    bound = {} if workspace.query_memory is None else {"memory_limit": f"{workspace.query_memory}B"}
    return {"temp_directory": str(workspace.temporary), **bound}


@contextmanager
def reporting_memory(workspace: Workspace) -> Iterator[None]:
    """Convert exceptions of too little memory in the block to CatalogMemory."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            # a failed commit and pyarrow raise other exceptions, with the same advice in the message
            if isinstance(cause, duckdb.OutOfMemoryException) or "SET memory_limit" in str(cause):
                raise CatalogMemory(workspace.query_memory, workspace.temporary, str(cause)) from error
            cause = cause.__cause__
        raise


@contextmanager
def reporting_damage(workspace: Workspace) -> Iterator[None]:
    """Convert exceptions of damaged data in the block to CatalogUnreadable."""
    try:
        yield
    except Exception as error:
        for each in chain(error):
            if isinstance(each, duckdb.Error) and _is_damage(workspace, str(each)):
                raise CatalogUnreadable(workspace.catalog, str(each)) from error
        raise


def _is_damage(workspace: Workspace, message: str) -> bool:
    cut = "Could not read enough bytes" in message and workspace.catalog.name in message
    return cut or "Corrupt database file" in message


@contextmanager
def interruptible(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Release all references to the connection at the end of the block, also after an exception.

    DuckDB replaces an interrupt during a query with a RuntimeError, and DuckDB 2 drops its cause; this
    function raises the interrupt again. A remaining reference to the connection keeps the database open, and
    this process would wait for its own lock when opening the database again.
    """
    try:
        yield
    except BaseException as error:
        for each in chain(error):  # frames of the traceback refer to readers of results
            traceback.clear_frames(each.__traceback__)
        if not (type(error) is RuntimeError and str(error) == "Query interrupted"):
            raise
        cause = error.__cause__ if isinstance(error.__cause__, KeyboardInterrupt) else KeyboardInterrupt()
        connection.interrupt()  # otherwise the next statement waits for the end of the query
        # the next query releases the reference cycle between the connection and the interrupted query
        with suppress(duckdb.Error, RuntimeError):
            connection.execute("SELECT 1").fetchall()
        raise cause from None


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Run the block in a transaction: commit at the end, roll back on any exception."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def create_schema(connection: duckdb.DuckDBPyConnection) -> None:
    """Create all tables and views in an empty database (a file or memory)."""
    create_tables(connection)
    create_views(connection)


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create all tables in an empty database, by all steps of the schema."""
    for number, name in schema_steps():
        connection.execute(query(name))
        connection.execute("INSERT INTO catalog_schema VALUES (?)", [number])


def create_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Create or replace the views, each after the views that it reads."""
    texts = {name.rpartition("/")[2]: query(name) for name in names("views")}
    reads = {
        name: sorted(texts.keys() & set(re.findall(r"(?:FROM|JOIN)\s+(\w+)", text)))
        for name, text in texts.items()
    }
    for name in TopologicalSorter(reads).static_order():
        connection.execute(texts[name])


def schema_steps() -> list[tuple[int, str]]:
    """Return the number and name of each step of the schema, in order."""
    return [(int(name.rpartition("/")[2][:3]), name) for name in names("schema")]


def schema_version(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the schema version of an open database; 0 without one."""
    try:
        [(version,)] = connection.execute("SELECT max(version) FROM catalog_schema").fetchall()
    except duckdb.CatalogException:  # the table does not exist
        return 0
    return version or 0


def connect(workspace: Workspace, *, read_only: bool, wait: float) -> duckdb.DuckDBPyConnection:
    """Open a connection without a check of the schema version.

    Raises CatalogBusy if other processes hold the file for `wait` seconds, DiskError if opening cannot write
    to the disk, and CatalogUnreadable for other causes.
    """
    deadline = time.monotonic() + wait
    pause = 0.01
    while True:
        try:
            return duckdb.connect(
                str(workspace.catalog),
                read_only=read_only,
                config=settings(workspace),
            )
        except duckdb.Error as error:
            if not any(text in str(error) for text in _IN_USE):
                raise disk_error(error) or CatalogUnreadable(workspace.catalog, str(error)) from error
            if time.monotonic() >= deadline:
                raise CatalogBusy(workspace.catalog, wait, _holder(workspace.lock, str(error))) from error
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)


def _holder(lock: Path, message: str) -> str:
    """Return the process that holds the catalog, from DuckDB's message or the lock file."""
    if "PID" in message:
        return "PID" + message.partition("PID")[2].partition(")")[0].split(".")[0]
    try:
        return "pid {pid} ({command})".format(**json.loads(lock.read_text()))
    except (OSError, ValueError, KeyError):
        return "another process"


def _is_empty(connection: duckdb.DuckDBPyConnection) -> bool:
    [(tables,)] = connection.execute("SELECT count(*) FROM duckdb_tables() WHERE NOT internal").fetchall()
    return not tables


def check_version(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise CatalogVersionError for another schema version, and CatalogMissing for a file without tables.

    A process that is killed between the creation of the file and that of its tables leaves such a file.
    """
    found = schema_version(connection)
    if not found and _is_empty(connection):
        raise CatalogMissing(path)
    if found != SCHEMA_VERSION:
        raise CatalogVersionError(path, found, SCHEMA_VERSION)
