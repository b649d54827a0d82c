"""Opens the DuckDB file: for reading by any process between commits, for writing by the one coordinator."""

from __future__ import annotations

import json
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import duckdb

from ..core.durable import disk_error
from ..core.errors import CatalogBusy, CatalogMissing, CatalogUnreadable, CatalogVersionError, chain
from ..core.startup import probe_pandas
from ..core.workspace import Workspace
from .queries import SCHEMA_VERSION, names, query

READ_WAIT = 5.0
"""Seconds that a reader waits for a commit to end."""
WRITE_WAIT = 60.0
"""Seconds that the coordinator waits for readers to leave."""


@contextmanager
def read_catalog(workspace: Workspace, wait: float = READ_WAIT) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection; waits at most `wait` seconds for a commit that is under way.

    Raises CatalogMissing, CatalogVersionError and what `opened` does.
    """
    if not workspace.catalog.exists():
        raise CatalogMissing(workspace.catalog)
    with opened(workspace, read_only=True, wait=wait) as connection:
        _check_version(connection, workspace.catalog)
        yield connection


@contextmanager
def write_catalog(workspace: Workspace, wait: float = WRITE_WAIT) -> Iterator[duckdb.DuckDBPyConnection]:
    """A writing connection, the catalog created where there is none. The caller holds the workspace's lock.

    Nothing is committed by this function: use `transaction` around each change. Raises what `opened` does,
    and CatalogVersionError.
    """
    probe_pandas()
    workspace.root.mkdir(parents=True, exist_ok=True)
    with opened(workspace, read_only=False, wait=wait) as connection:
        if not schema_version(connection):
            with transaction(connection):
                create_schema(connection)
        _check_version(connection, workspace.catalog)
        yield connection


@contextmanager
def opened(workspace: Workspace, *, read_only: bool, wait: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of whatever schema version, for the block.

    Raises what `connect` does, and CatalogUnreadable for damage that a query meets in the block.
    """
    with (
        reporting_damage(workspace),
        _arrow_results(),
        closing(connect(workspace, read_only=read_only, wait=wait)) as connection,
        interruptible(connection),
    ):
        yield connection


@contextmanager
def _arrow_results() -> Iterator[None]:
    """Ignore DuckDB 2's warning about Arrow results in the block.

    The recommended call takes no bound values, and in DuckDB 1 runs in one thread.
    """
    if duckdb.__version__.startswith("1."):
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Arrow output on a DB-API result")
        yield


@contextmanager
def reporting_damage(workspace: Workspace) -> Iterator[None]:
    """The catalog is read here: damage that a query meets is CatalogUnreadable, however it comes."""
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
    """Work on a connection that ends with nothing left in its way, however it ends.

    DuckDB makes a RuntimeError of an interrupt in the midst of a query, and DuckDB 2 forgets what it was made
    of; this undoes that. What still holds a part of the connection keeps the database open, and this process
    could not open it again: it would wait for itself, for ever.
    """
    try:
        yield
    except BaseException as error:
        for each in chain(error):  # what left functions had at hand: readers of results are among it
            traceback.clear_frames(each.__traceback__)
        if not (type(error) is RuntimeError and str(error) == "Query interrupted"):
            raise
        cause = error.__cause__ if isinstance(error.__cause__, KeyboardInterrupt) else KeyboardInterrupt()
        connection.interrupt()  # else what follows waits for the end of the query
        # the query is taken apart when the next one begins; until then it and the connection hold one another
        with suppress(duckdb.Error, RuntimeError):
            connection.execute("SELECT 1").fetchall()
        raise cause from None


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All or nothing: commits at the end, rolls back on any exception."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def create_schema(connection: duckdb.DuckDBPyConnection) -> None:
    """Make all tables and views in an empty database (a file or memory)."""
    create_tables(connection)
    create_views(connection)


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make all tables in an empty database, as they are after the last step of the schema."""
    for number, name in schema_steps():
        connection.execute(query(name))
        connection.execute("INSERT INTO catalog_schema VALUES (?)", [number])


def create_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the views, anew where they exist."""
    for name in names("views"):
        connection.execute(query(name))


def schema_steps() -> list[tuple[int, str]]:
    """Number and name of each step of the schema, in order."""
    return [(int(name.rpartition("/")[2][:3]), name) for name in names("schema")]


def schema_version(connection: duckdb.DuckDBPyConnection) -> int:
    """The schema version of an open database; 0 if it has none."""
    try:
        [(version,)] = connection.execute("SELECT max(version) FROM catalog_schema").fetchall()
    except duckdb.CatalogException:  # there is no such table
        return 0
    return version or 0


def connect(workspace: Workspace, *, read_only: bool, wait: float) -> duckdb.DuckDBPyConnection:
    """A connection of whatever schema version.

    Raises CatalogBusy if others hold the file for `wait` seconds, DiskError if there is no room for what
    opening writes, and CatalogUnreadable for every other reason.
    """
    deadline = time.monotonic() + wait
    pause = 0.01
    while True:
        try:
            return duckdb.connect(
                str(workspace.catalog),
                read_only=read_only,
                config={"temp_directory": str(workspace.root / "tmp")},
            )
        except duckdb.Error as error:
            if "Could not set lock" not in str(error):
                raise disk_error(error) or CatalogUnreadable(workspace.catalog, str(error)) from error
            if time.monotonic() >= deadline:
                raise CatalogBusy(workspace.catalog, wait, _holder(workspace.lock, str(error))) from error
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)


def _holder(lock: Path, message: str) -> str:
    """Who seems to hold the catalog: DuckDB names the process, else the lock file does."""
    if "PID" in message:
        return "PID" + message.partition("PID")[2].partition(")")[0].split(".")[0]
    try:
        return "pid {pid} ({command})".format(**json.loads(lock.read_text()))
    except (OSError, ValueError, KeyError):
        return "another process"


def _check_version(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    found = schema_version(connection)
    if found != SCHEMA_VERSION:
        raise CatalogVersionError(path, found, SCHEMA_VERSION)
