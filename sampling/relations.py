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
from ..core.startup import probe_pandas

SETTINGS = {
    # zstd, fsst and dictionary analyse every string at length; on random ids they save little for it
    "disabled_compression_methods": "zstd,fsst,dictionary",
    "preserve_insertion_order": "false",
    # it stores all candidates in full, to spare those queries a scan that name them twice
    "disabled_optimizers": "common_subplan",
}
"""Settings of DuckDB during a draw, beside its memory limit."""
MEMORY = 4_000_000_000
"""Bytes that DuckDB may hold in memory during a draw, if it may so much; the rest is spilled to disk."""

_STREAMED = 1_000_000
"""Rows of a result that comes in parts."""

SCHEMAS = {
    "sample_refused_licenses": {"license": "VARCHAR"},
    "sample_excluded": {"sha256": "VARCHAR"},
    "sample_excluded_hashes": {"high": "BIGINT", "low": "BIGINT", "distance": "INTEGER"},
    "sample_excluded_alike": {"dhash": "VARCHAR"},
    "sample_buckets": {"bucket": "UINTEGER"},
    "sample_clusters": {"dhash": "VARCHAR", "cluster": "VARCHAR"},
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
    probe_pandas()
    before = {name: _setting(connection, name) for name in (*SETTINGS, "memory_limit")}
    made = Relations(connection, min(MEMORY, _bytes(before["memory_limit"])))
    during = {**SETTINGS, "memory_limit": f"{made.memory}B"}
    try:
        for name, value in during.items():
            connection.execute(f"SET {name} = '{value}'")
        made.empty()
        yield made
    finally:
        made.drop()
        for name, value in before.items():
            connection.execute(f"SET {name} = '{value}'")


def _setting(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    return str(connection.execute("SELECT CAST(current_setting(?) AS VARCHAR)", [name]).fetchall()[0][0])


def _bytes(text: str) -> int:
    """What DuckDB writes as '18.5 GiB'."""
    number, _, unit = text.partition(" ")
    powers = {"bytes": 0, "KiB": 1, "MiB": 2, "GiB": 3, "TiB": 4}
    return int(float(number) * 1024 ** powers[unit])


class Relations:
    """Makes temporary relations on a connection, and remembers them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, memory: int) -> None:
        self.connection = connection
        self.memory = memory
        """Bytes that DuckDB may hold."""
        self.shown: dict[str, pa.Table] = {}
        """What lies outside the database."""
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

    def add(self, name: str, select: str, values: Mapping[str, Any] | None = None) -> int:
        """Append the result of a query to a table; the number of rows."""
        rows = self.connection.execute(f"INSERT INTO temp.{quoted(name)} {select}", values or {}).fetchall()
        return int(rows[0][0])

    def count(self, name: str) -> int:
        """Rows of a relation."""
        return int(self.connection.execute(f"SELECT count(*) FROM temp.{quoted(name)}").fetchall()[0][0])

    def fetch(self, select: str, seed: int | None = None) -> pa.Table:
        """The whole result of a query, made by all threads; `seed` is its only parameter."""
        if seed is not None:  # a relation, which DuckDB 1 makes in parallel, is ten times slower with values
            select = select.replace("$seed", str(seed))
        first = duckdb.__version__.startswith("1.")
        result = self.connection.sql(select) if first else self.connection.execute(select)
        return result.to_arrow_table()

    def stream(self, select: str) -> Iterator[pa.RecordBatch]:
        """The result of a query as it comes, put together by one thread."""
        yield from self.connection.execute(select).to_arrow_reader(_STREAMED)

    def show(self, name: str, table: pa.Table) -> None:
        """Give queries a table that lies outside the database."""
        self.connection.register(name, table)
        self._made[name] = "VIEW"
        self.shown[name] = table

    def view(self, name: str, select: str) -> None:
        """Make or replace a view."""
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(name)} AS {select}")
        self._made[name] = "VIEW"

    def forget(self, name: str) -> None:
        """Do without this relation from now on."""
        self.connection.execute(f"DROP {self._made.pop(name)} temp.{quoted(name)}")
        self.shown.pop(name, None)

    def make_room(self, name: str) -> None:
        """Do without this relation from now on; if it lay in the database, with half of the memory, too."""
        held = name not in self.shown
        self.forget(name)
        if held:
            self.connection.execute(f"SET memory_limit = '{self.memory // 2}B'")

    def drop(self) -> None:
        """Remove all that was made."""
        drops = [f"DROP {kind} IF EXISTS temp.{quoted(name)}" for name, kind in self._made.items()]
        self.connection.execute("; ".join(reversed(drops)))
        self._made.clear()
        self.shown.clear()
