"""The deduplication index: what every draw needs of all items, kept in the catalog once per change of items.

The index holds the number of items per stratum (`stratum_sizes`) and the items whose bytes equal another
item's (`dedup_items`). In portable SQL the latter is a grouping of all items by a string. DuckDB's `hash` of
a sha256 is an integer, and ten million integers are fetched and sorted in a quarter of that time. Only items
whose integer occurs twice are compared in full (`sql/duckdb/duplicates.sql`); 32 bits are enough, since of
100 million items 2 % share them by chance. `hash` may change between DuckDB versions: the result does not
depend on it. Another engine may treat all items as possible duplicates.

Items change by segments only (`catalog/segments.py`), and the catalog counts segments.
"""

from __future__ import annotations

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..catalog.connection import transaction
from ..catalog.queries import query, quoted
from .temp_tables import TempTables, temp_tables

_TABLES = ("dedup_items", "stratum_sizes")


def refresh(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring the stored index up to date with `items`; the connection writes."""
    with temp_tables(connection) as temp:
        load(temp)
        save(temp)


def load(temp: TempTables) -> None:
    """Make `draw_dedup_items` and `draw_stratum_sizes`: the stored index, or a computed one."""
    if _is_valid(temp.connection):
        for table in _TABLES:
            temp.view(f"draw_{table}", f"SELECT * FROM {quoted(table)}")
        return
    buckets = _buckets(temp)
    buckets.sort()
    twice = buckets[1:] == buckets[:-1]
    first = twice & ~np.insert(twice[:-1], 0, False)  # of each run of equal ones
    temp.fill("draw_buckets", {"bucket": pa.array(buckets[1:][first])})
    temp.table("draw_dedup_items", query("duckdb/duplicates"))
    temp.table("draw_stratum_sizes", query("sampling/stratum_sizes"))


def save(temp: TempTables) -> None:
    """Store the loaded index; the connection writes."""
    connection = temp.connection
    if _is_valid(connection):
        return
    with transaction(connection):
        for table in _TABLES:
            connection.execute(f"DELETE FROM {quoted(table)}")
            connection.execute(f"INSERT INTO {quoted(table)} BY NAME SELECT * FROM draw_{table}")
        connection.execute("DELETE FROM dedup_index")
        connection.execute(f"INSERT INTO dedup_index BY NAME {query('sampling/dedup_index_state')}")


def _is_valid(connection: duckdb.DuckDBPyConnection) -> bool:
    state = connection.execute(query("sampling/dedup_index_state")).fetchall()
    return connection.execute("SELECT segments, items FROM dedup_index").fetchall() == state


def _buckets(temp: TempTables) -> npt.NDArray[np.uint32]:
    """An integer for each item that has bytes, in no particular order."""
    fetched = temp.fetch(query("duckdb/buckets")).column("bucket")
    return np.concatenate([np.empty(0, np.uint32), *(chunk.to_numpy() for chunk in fetched.chunks)])
