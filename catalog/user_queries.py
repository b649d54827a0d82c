"""Runs users' queries, which can read only the catalog."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ..core.durable import replacing
from ..core.errors import QueryError
from ..core.workspace import Workspace
from .connection import read_catalog

if TYPE_CHECKING:
    import pyarrow as pa

Rows = tuple[list[str], list[tuple[Any, ...]]]
"""Column names, and rows of Python values."""

PARQUET_ROWS = 100_000
"""Rows per row group of a Parquet file that a query writes."""

_RESTRICTIONS = (
    "SET enable_external_access = false",  # no files, no network, no extensions
    "SET python_enable_replacements = false",  # no Python variables as tables
    "SET lock_configuration = true",
)


@contextmanager
def user_connection(
    workspace: Workspace, settings: Sequence[str] = ()
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection without access to files, network, extensions, or its own settings.

    `settings` are statements that run before the settings are locked.
    Raises the exceptions of `read_catalog`, and QueryError for every other error of the database in the
    block.
    """
    with read_catalog(workspace) as connection:
        restrict(connection, settings)
        try:
            yield connection
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            raise QueryError(str(error)) from error


def restrict(connection: duckdb.DuckDBPyConnection, settings: Sequence[str] = ()) -> None:
    """Apply settings and the restrictions of users' queries, and lock the configuration.

    The connections of a process to one file share their configuration. Only this function locks it, so that
    a locked configuration already has the restrictions, and keeps its settings.
    """
    [(locked,)] = connection.execute("SELECT current_setting('lock_configuration')").fetchall()
    if not locked:
        for setting in (*settings, *_RESTRICTIONS):
            connection.execute(setting)


def fetch_rows(workspace: Workspace, text: str) -> Rows:
    """Return the result of one statement as Python values."""
    with user_connection(workspace) as connection:
        result = connection.execute(single(connection, text))
        return [column[0] for column in result.description or []], result.fetchall()


def fetch_table(workspace: Workspace, text: str) -> pa.Table:
    """Return the result of one statement as an Arrow table."""
    with user_connection(workspace) as connection:
        return connection.execute(single(connection, text)).to_arrow_table()


def write_parquet(workspace: Workspace, text: str, path: Path) -> int:
    """Write the result of one statement as a Parquet file, replacing `path`; return the number of rows.

    The result is written in batches and never held as a whole. The file replaces `path` when it is complete.
    """
    import pyarrow.parquet as pq

    rows = 0
    with user_connection(workspace) as connection, replacing(path) as file:
        batches = connection.execute(single(connection, text)).to_arrow_reader(PARQUET_ROWS)
        with pq.ParquetWriter(file, batches.schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += batch.num_rows
    return rows


def single(connection: duckdb.DuckDBPyConnection, text: str) -> duckdb.Statement:
    """Return the one statement of a text; QueryError for none or several."""
    statements = connection.extract_statements(text)
    if len(statements) != 1:
        raise QueryError(f"expected one SQL statement, found {len(statements) or 'none'}")
    return statements[0]
