"""What every draw needs to know of all items, whatever its options: noted in the catalog, once per change.

That is how many items each stratum has, and which have their bytes in common with others. To find the latter
in portable SQL is to group all items by a string. DuckDB's `hash` of each sha256 is an integer, and ten
million integers are fetched and sorted in a quarter of that time. Only the items whose integer occurs twice
are compared whole (`sql/duckdb/duplicates.sql`); of its bits 32 are enough, for in 100 million items 2 %
share them by chance. `hash` may be another function in the next version of DuckDB: what is a duplicate does
not depend on it. Another engine may take all items for duplicates.

Items change by segments only (`catalog/segments.py`), which the catalog counts.
"""

from __future__ import annotations

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..catalog.connection import transaction
from ..catalog.queries import query, quoted
from .relations import Relations, relations

_TABLES = ("duplicates", "totals")


def note(connection: duckdb.DuckDBPyConnection) -> None:
    """Work the tables `duplicates` and `totals` out for the items as they are; the connection writes."""
    if _is_noted(connection):
        return
    with relations(connection) as made:
        look_up(made)
        with transaction(connection):
            for table in _TABLES:
                connection.execute(f"DELETE FROM {quoted(table)}")
                connection.execute(f"INSERT INTO {quoted(table)} BY NAME SELECT * FROM sample_{table}")
            connection.execute("DELETE FROM noted")
            connection.execute(query("sampling/note"))


def look_up(made: Relations) -> None:
    """Make `sample_duplicates` and `sample_totals`, of what is noted if that holds."""
    if _is_noted(made.connection):
        for table in _TABLES:
            made.view(f"sample_{table}", f"SELECT * FROM {quoted(table)}")
        return
    buckets = _buckets(made)
    buckets.sort()
    twice = buckets[1:] == buckets[:-1]
    first = twice & ~np.insert(twice[:-1], 0, False)  # of each run of equal ones
    made.fill("sample_buckets", {"bucket": pa.array(buckets[1:][first])})
    made.table("sample_duplicates", query("duckdb/duplicates"))
    made.table("sample_totals", query("sampling/totals"))


def _is_noted(connection: duckdb.DuckDBPyConnection) -> bool:
    [(noted,)] = connection.execute(query("sampling/noted")).fetchall()
    return bool(noted)


def _buckets(made: Relations) -> npt.NDArray[np.uint32]:
    """An integer for each item that has bytes, in no order that means anything."""
    fetched = made.fetch(query("duckdb/buckets")).column("bucket")
    return np.concatenate([np.empty(0, np.uint32), *(chunk.to_numpy() for chunk in fetched.chunks)])
