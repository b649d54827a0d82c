"""The temporary relations that the queries of `sql/sampling/` read and make, on one connection.

The queries only select. What they read from one another is put here, as temporary tables and views, so
that another engine can run the same queries over relations of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from ..catalog.queries import quoted

MEMORY = "3GB"
"""What DuckDB may hold in memory during a draw; what is more is spilled to the workspace."""

SCHEMAS = {
    "sample_refused_licenses": {"license": "VARCHAR"},
    "sample_earlier": {"item_id": "VARCHAR", "copies": "BIGINT"},
    "sample_losers": {"item_id": "VARCHAR", "category": "VARCHAR", "source": "VARCHAR", "reason": "VARCHAR"},
    "sample_rounds": {"repeat": "INTEGER"},
    "sample_quotas": {
        "stratum": "INTEGER",
        "category": "VARCHAR",
        "source": "VARCHAR",
        "seats": "BIGINT",
        "copies": "INTEGER",
        "low": "VARCHAR",
        "high": "VARCHAR",
    },
    "sample_kept": {"item_id": "VARCHAR", "repeat": "INTEGER", "stratum": "INTEGER"},
}
"""The relations that are there from the start, empty; the others have the columns of their query."""


@contextmanager
def relations(connection: duckdb.DuckDBPyConnection) -> Iterator[Relations]:
    """Empty relations for one draw, gone at the end; memory is bounded as long."""
    made = Relations(connection)
    before = connection.execute("SELECT current_setting('memory_limit')").fetchone()
    connection.execute(f"SET memory_limit = '{MEMORY}'")
    try:
        made.empty()
        yield made
    finally:
        made.drop()
        if before is not None:
            connection.execute(f"SET memory_limit = '{before[0]}'")


class Relations:
    """Makes temporary relations on a connection, and remembers them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._made: dict[str, str] = {}

    def empty(self) -> None:
        """Make all tables of SCHEMAS, without rows."""
        statements = []
        for name, columns in SCHEMAS.items():
            shape = ", ".join(f"{quoted(column)} {kind}" for column, kind in columns.items())
            statements.append(f"CREATE TEMP TABLE {quoted(name)} ({shape})")
            self._made[name] = "TABLE"
        self.connection.execute("; ".join(statements))

    def fill(self, name: str, columns: Mapping[str, Any]) -> None:
        """Replace the rows of a table of SCHEMAS by these columns."""
        self.connection.register("sample_input", pa.table(dict(columns)))
        try:
            self.connection.execute(f"TRUNCATE temp.{quoted(name)}")
            self.connection.execute(f"INSERT INTO temp.{quoted(name)} BY NAME SELECT * FROM sample_input")
        finally:
            self.connection.unregister("sample_input")

    def table(self, name: str, select: str, values: Mapping[str, Any] | None = None) -> None:
        """Make or replace a table from the result of a query."""
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS {select}", values or {})
        self._made[name] = "TABLE"

    def add(self, name: str, select: str, values: Mapping[str, Any] | None = None) -> None:
        """Append the result of a query to a table."""
        self.connection.execute(f"INSERT INTO temp.{quoted(name)} {select}", values or {})

    def view(self, name: str, select: str) -> None:
        """Make or replace a view."""
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(name)} AS {select}")
        self._made[name] = "VIEW"

    def drop(self) -> None:
        """Remove all that was made."""
        drops = [f"DROP {kind} IF EXISTS temp.{quoted(name)}" for name, kind in self._made.items()]
        self.connection.execute("; ".join(reversed(drops)))
        self._made.clear()
