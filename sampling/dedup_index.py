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
from .relations import Relations, relations

_TABLES = ("dedup_items", "stratum_sizes")


def refresh(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring the index up to date with `items`; the connection writes."""
    if _is_valid(connection):
        return
    with relations(connection) as made:
        load(made)
        with transaction(connection):
            for table in _TABLES:
                connection.execute(f"DELETE FROM {quoted(table)}")
                connection.execute(f"INSERT INTO {quoted(table)} BY NAME SELECT * FROM sample_{table}")
            connection.execute("DELETE FROM dedup_index")
            connection.execute(query("sampling/dedup_index_mark"))


def load(made: Relations) -> None:
    """Provide `sample_dedup_items` and `sample_stratum_sizes`: the stored index, or a computed one."""
    if _is_valid(made.connection):
        for table in _TABLES:
            made.view(f"sample_{table}", f"SELECT * FROM {quoted(table)}")
        return
    buckets = _buckets(made)
    buckets.sort()
    twice = buckets[1:] == buckets[:-1]
    first = twice & ~np.insert(twice[:-1], 0, False)  # of each run of equal ones
    made.fill("sample_buckets", {"bucket": pa.array(buckets[1:][first])})
    made.table("sample_dedup_items", query("duckdb/duplicates"))
    made.table("sample_stratum_sizes", query("sampling/stratum_sizes"))


def _is_valid(connection: duckdb.DuckDBPyConnection) -> bool:
    [(valid,)] = connection.execute(query("sampling/dedup_index_valid")).fetchall()
    return bool(valid)


def _buckets(made: Relations) -> npt.NDArray[np.uint32]:
    """An integer for each item that has bytes, in no particular order."""
    fetched = made.fetch(query("duckdb/buckets")).column("bucket")
    return np.concatenate([np.empty(0, np.uint32), *(chunk.to_numpy() for chunk in fetched.chunks)])
