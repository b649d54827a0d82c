"""Keeps 26 bytes per item of a source, to compare a listing with the catalog in one pass over the source.

Most records of a listing are unchanged; the others are compared with the rows of `items` that `places` names.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from ..catalog.queries import query
from .listed_records import numbers

BATCH = 500_000
"""Rows per fetch."""


class KnownRecords:
    """The catalog's items of a source without pages of documents: keys, record hashes and ordinals, by key.

    A key is the first 16 digits of an id. Two items with one key are no error: their ids are compared later.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, source: str, texts: str) -> None:
        """Load the items; `connection` may be closed afterwards. ValueError for a source without items.

        `texts` is the hash of the options behind texts: an item that was read under others counts as changed.
        """
        found = connection.execute(query("segments/known_records"), {"source": source, "texts": texts})
        parts = [
            [column.to_numpy(zero_copy_only=False) for column in batch.columns]
            for batch in found.to_arrow_reader(BATCH)
        ]
        empty = [np.empty(0, kind) for kind in (np.uint64, np.uint64, np.int64, bool, bool)]
        columns = [np.concatenate(column) for column in zip(empty, *parts, strict=True)]
        parts.clear()
        if not len(columns[0]):
            raise ValueError(f"{source} has no items")
        order = np.argsort(columns[0], kind="stable")
        self._keys, self._records, self._ordinals, self._present, self._current = (
            column[order] for column in columns
        )
        self._listed = np.zeros(len(order), bool)

    def changed(self, listed: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Return the new and changed rows of a listing, and item_id and ordinal of those with a known key."""
        keys, records = numbers(listed.column("item_id")), numbers(listed.column("record_hash"))
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known = self._keys[at] == keys
        self._listed[at[known]] = True
        changed = ~(known & self._present[at] & self._current[at] & (self._records[at] == records))
        placed = np.flatnonzero(changed & known)
        ids, ordinals = listed.column("item_id").take(placed), pa.array(self._ordinals[at[placed]])
        return listed.filter(pa.array(changed)), pa.table({"item_id": ids, "ordinal": ordinals})

    def unlisted(self) -> int:
        """The number of present items that no batch contained."""
        return int(np.count_nonzero(self._present & ~self._listed))
