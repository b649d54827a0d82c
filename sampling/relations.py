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

_INTS = pa.int64()
_TEXT = pa.string()
SCHEMAS = {
    "sample_refused_licenses": pa.schema([("license", _TEXT)]),
    "sample_earlier": pa.schema([("item_id", _TEXT), ("copies", _INTS)]),
    "sample_losers": pa.schema(
        [("item_id", _TEXT), ("category", _TEXT), ("source", _TEXT), ("reason", _TEXT)]
    ),
    "sample_rounds": pa.schema([("repeat", pa.int32())]),
    "sample_quotas": pa.schema(
        [
            ("stratum", pa.int32()),
            ("category", _TEXT),
            ("source", _TEXT),
            ("seats", _INTS),
            ("copies", pa.int32()),
            ("low", _TEXT),
            ("high", _TEXT),
        ]
    ),
    "sample_kept": pa.schema([("item_id", _TEXT), ("repeat", pa.int32()), ("stratum", pa.int32())]),
}
"""The relations that are filled from here; those that are query results have the columns of the query."""


@contextmanager
def relations(connection: duckdb.DuckDBPyConnection) -> Iterator[Relations]:
    """Empty relations for one draw, gone at the end; memory is bounded as long."""
    made = Relations(connection)
    before = connection.execute("SELECT current_setting('memory_limit')").fetchone()
    connection.execute(f"SET memory_limit = '{MEMORY}'")
    try:
        for name in SCHEMAS:
            made.fill(name, {})
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

    def fill(self, name: str, columns: Mapping[str, Any]) -> None:
        """Make the table `name` of SCHEMAS from columns; none given: an empty one."""
        schema = SCHEMAS[name]
        arrays = {field.name: columns.get(field.name, []) for field in schema}
        self.connection.register("sample_input", pa.table(arrays, schema=schema))
        try:
            self.table(name, "SELECT * FROM sample_input")
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
        for name, kind in reversed(self._made.items()):
            self.connection.execute(f"DROP {kind} IF EXISTS temp.{quoted(name)}")
        self._made.clear()
