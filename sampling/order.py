"""Puts drawn rows into the order of the corpus.

A row's order key is an md5 of 32 hexadecimal digits. A database sorts such keys as strings; here the first
eight digits and the row's number make one 64-bit integer, which sorts several times as fast. Rows that agree
in these digits (one pair in 2^32, and the repeats of an item) are compared whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .batches import placed
from .integers import Numbers, digits, hexadecimal

ID_DIGITS = 32
"""Hexadecimal digits of an item's id."""
PREFIX_DIGITS = 8
"""Digits of an order key that are sorted by."""

Integers: TypeAlias = npt.NDArray[np.int32]
Ids: TypeAlias = npt.NDArray[np.bytes_]
"""Ids of items, 32 bytes each."""


class OrderedRows:
    """Drawn rows by (order key, item_id, repeat).

    `rows` have the columns item_id, repeat, stratum and order_prefix (the first eight digits of the order
    key) and come in any order; of those that have a column `drawn`, the ones count where it is true. There
    are `count` of them, less than 2^32; they take about 50 bytes each.
    """

    def __init__(self, rows: Iterable[pa.RecordBatch], count: int, seed: int) -> None:
        self._items: Ids = np.empty(count, f"S{ID_DIGITS}")
        self._repeats: Integers = np.empty(count, np.int32)
        self._strata: Integers = np.empty(count, np.int32)
        keys = np.empty(count, np.uint64)

        def take(start: int, batch: pa.RecordBatch) -> None:
            end = start + _counting(batch)
            chosen = _chosen(batch)
            items = digits(batch.column("item_id"), ID_DIGITS).view(f"S{ID_DIGITS}")[:, 0]
            self._items[start:end] = items[chosen]
            self._repeats[start:end] = batch.column("repeat").to_numpy()[chosen]
            self._strata[start:end] = batch.column("stratum").to_numpy()[chosen]
            prefixes = hexadecimal(digits(batch.column("order_prefix"), PREFIX_DIGITS)[chosen])
            keys[start:end] = prefixes << np.uint64(32) | np.arange(start, end, dtype=np.uint64)

        if placed(rows, take, _counting) != count:
            raise ValueError(f"not {count} rows were drawn")
        keys.sort()
        self._order = keys.astype(np.uint32)
        keys >>= np.uint64(32)
        self._settle(keys, seed)

    def __len__(self) -> int:
        return len(self._order)

    def part(self, start: int, stop: int) -> tuple[Ids, Integers, Integers]:
        """(item_ids, repeats, strata) of the rows at the positions `start` to `stop` - 1."""
        rows = self._order[start:stop]
        return self._items.take(rows), self._repeats.take(rows), self._strata.take(rows)

    def _settle(self, prefixes: Numbers, seed: int) -> None:
        """Order the rows among themselves whose keys begin with the same digits."""
        same = prefixes[1:] == prefixes[:-1]
        places = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
        if not len(places):
            return
        rows, group = self._order[places], prefixes[places]
        items, repeats = self._items[rows], self._repeats[rows]
        keys = np.zeros(len(places), f"S{ID_DIGITS}")
        mixed = group[1:][(group[1:] == group[:-1]) & (items[1:] != items[:-1])]
        for index in np.flatnonzero(np.isin(group, mixed)):  # in other groups all rows are one item's
            text = b"%d:order:%s" % (seed, items[index])
            keys[index] = hashlib.md5(text, usedforsecurity=False).hexdigest().encode()
        self._order[places] = rows[np.lexsort((repeats, items, keys, group))]


def _counting(batch: pa.RecordBatch) -> int:
    """How many rows of a batch count."""
    return int(batch.column("drawn").true_count) if "drawn" in batch.schema.names else len(batch)


def _chosen(batch: pa.RecordBatch) -> npt.NDArray[np.int64] | slice:
    """Which rows of a batch count."""
    if "drawn" not in batch.schema.names:
        return slice(None)
    return np.flatnonzero(batch.column("drawn").to_numpy(zero_copy_only=False))
