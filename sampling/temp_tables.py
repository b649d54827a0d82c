"""The temporary relations that the queries of `sql/sampling/` read, on one connection.

The queries only select. The relations that they read from one another are temporary tables and views made
here, so that another engine can run the same queries over relations of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from ..catalog.queries import quoted
from ..core.startup import probe_pandas

SETTINGS = {
    # zstd, fsst and dictionary analyse every string at length, and save little on random ids
    "disabled_compression_methods": "zstd,fsst,dictionary",
    "preserve_insertion_order": "false",
    # it materialises all candidates where a query names them twice
    "disabled_optimizers": "common_subplan",
}
"""Settings of DuckDB during a draw, beside its memory limit."""
MEMORY = 4_000_000_000
"""Bytes that DuckDB may use during a draw, or its own limit if that is less; it spills the rest to disk."""

SCHEMAS = {
    "draw_refused_licenses": {"license": "VARCHAR"},
    "draw_unmatched": {"item_id": "VARCHAR"},
    "draw_excluded_sha256": {"sha256": "VARCHAR"},
    "draw_excluded_dhashes": {"high": "BIGINT", "low": "BIGINT", "distance": "INTEGER"},
    "draw_similar_dhashes": {"dhash": "VARCHAR"},
    "draw_more_images": {
        "item_id": "VARCHAR",
        "sha256": "VARCHAR",
        "original_sha256": "VARCHAR",
        "dhash": "VARCHAR",
    },
    "draw_buckets": {"bucket": "UINTEGER"},
    "draw_clusters": {"dhash": "VARCHAR", "cluster": "VARCHAR"},
    "draw_earlier": {"item_id": "VARCHAR", "copies": "BIGINT"},
    "draw_excluded": {"item_id": "VARCHAR", "category": "VARCHAR", "source": "VARCHAR", "reason": "VARCHAR"},
    "draw_rounds": {"repeat": "INTEGER"},
    "draw_strata": {
        "stratum": "INTEGER",
        "category": "VARCHAR",
        "source": "VARCHAR",
        "seats": "BIGINT",
        "rounds": "INTEGER",
    },
    "draw_bounds": {
        "slot": "INTEGER",
        "category": "VARCHAR",
        "source": "VARCHAR",
        "suffix": "VARCHAR",
        "low": "VARCHAR",
        "high": "VARCHAR",
    },
    "draw_kept": {"item_id": "VARCHAR", "repeat": "INTEGER", "stratum": "INTEGER"},
}
"""Relations that exist from the start, empty. All others have the columns of their query."""


@contextmanager
def temp_tables(connection: duckdb.DuckDBPyConnection) -> Iterator[TempTables]:
    """Empty relations for one draw, dropped at the end; DuckDB's memory is bounded for the duration."""
    probe_pandas()
    names = (*SETTINGS, "memory_limit")
    asked = ", ".join(f"CAST(current_setting('{name}') AS VARCHAR)" for name in names)
    [values] = connection.execute(f"SELECT {asked}").fetchall()
    before = dict(zip(names, values, strict=True))
    temp = TempTables(connection)
    try:
        _set(connection, {**SETTINGS, "memory_limit": f"{min(MEMORY, _bytes(before['memory_limit']))}B"})
        temp.create()
        yield temp
    finally:
        temp.drop()
        _set(connection, before)


def _set(connection: duckdb.DuckDBPyConnection, settings: Mapping[str, str]) -> None:
    connection.execute("; ".join(f"SET {name} = '{value}'" for name, value in settings.items()))


def _bytes(text: str) -> int:
    """The number that DuckDB writes as '18.5 GiB'."""
    number, _, unit = text.partition(" ")
    powers = {"bytes": 0, "KiB": 1, "MiB": 2, "GiB": 3, "TiB": 4}
    return int(float(number) * 1024 ** powers[unit])


class TempTables:
    """Makes temporary relations on a connection and drops them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._kinds: dict[str, str] = {}

    def create(self) -> None:
        """Make all tables of SCHEMAS, without rows."""
        statements = []
        for name, columns in SCHEMAS.items():
            shape = ", ".join(f"{quoted(column)} {kind}" for column, kind in columns.items())
            statements.append(f"CREATE TEMP TABLE {quoted(name)} ({shape})")
            self._kinds[name] = "TABLE"
        self.connection.execute("; ".join(statements))

    def fill(self, name: str, columns: Mapping[str, Any]) -> None:
        """Replace the rows of a table of SCHEMAS by these columns."""
        self.connection.register("draw_input", pa.table(dict(columns)))
        try:
            self.connection.execute(f"TRUNCATE temp.{quoted(name)}")
            self.connection.execute(f"INSERT INTO temp.{quoted(name)} BY NAME SELECT * FROM draw_input")
        finally:
            self.connection.unregister("draw_input")

    def table(self, name: str, select: str, values: Mapping[str, Any] | None = None) -> None:
        """Make or replace a table from the result of a query."""
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS {select}", values or {})
        self._kinds[name] = "TABLE"

    def view(self, name: str, select: str) -> None:
        """Make or replace a view."""
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(name)} AS {select}")
        self._kinds[name] = "VIEW"

    def add(self, name: str, select: str, values: Mapping[str, Any] | None = None) -> int:
        """Append the result of a query to a table; the number of rows."""
        rows = self.connection.execute(f"INSERT INTO temp.{quoted(name)} {select}", values or {}).fetchall()
        return int(rows[0][0])

    def count(self, name: str) -> int:
        """Rows of a relation."""
        return int(self.connection.execute(f"SELECT count(*) FROM temp.{quoted(name)}").fetchall()[0][0])

    def fetch(self, select: str, **variables: str) -> pa.Table:
        """The whole result of a query, made by all threads. Its values are variables (`getvariable`): DuckDB
        1 converts the result of a query with bound values in a single thread."""
        for name, value in variables.items():
            self.connection.execute(f"SET VARIABLE {quoted(name)} = $value", {"value": value})
        first = duckdb.__version__.startswith("1.")
        result = self.connection.sql(select) if first else self.connection.execute(select)
        try:
            return result.to_arrow_table()
        finally:
            self.connection.execute("; ".join(f"RESET VARIABLE {quoted(name)}" for name in variables))

    def drop(self) -> None:
        """Drop all relations."""
        drops = [f"DROP {kind} IF EXISTS temp.{quoted(name)}" for name, kind in self._kinds.items()]
        self.connection.execute("; ".join(reversed(drops)))
        self._kinds.clear()
