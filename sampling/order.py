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

DIGITS = 32
"""Of an item's id, and of an order key."""

Integers: TypeAlias = npt.NDArray[np.int32]
Ids: TypeAlias = npt.NDArray[np.bytes_]
"""Ids of items, 32 bytes each."""


class OrderedRows:
    """The rows of a drawn sample by (order key, item_id, repeat).

    `rows` have the columns item_id, repeat, stratum and order_key and come in any order. There are `count`
    of them at most; they take about 50 bytes each.
    """

    def __init__(self, rows: Iterable[pa.RecordBatch], count: int, seed: int) -> None:
        self._items: Ids = np.empty(count, f"S{DIGITS}")
        self._repeats: Integers = np.empty(count, np.int32)
        self._strata: Integers = np.empty(count, np.int32)
        keys = np.empty(count, np.uint64)
        end = 0
        for batch in rows:
            start, end = end, end + batch.num_rows
            self._items[start:end] = _digits(batch.column("item_id")).view(f"S{DIGITS}")[:, 0]
            self._repeats[start:end] = batch.column("repeat").to_numpy()
            self._strata[start:end] = batch.column("stratum").to_numpy()
            leading = _leading(_digits(batch.column("order_key")))
            keys[start:end] = leading << np.uint64(32) | np.arange(start, end, dtype=np.uint64)
        keys = keys[:end]
        keys.sort()
        self._order = keys.astype(np.uint32)
        keys >>= 32
        self._settle(keys, seed)

    def __len__(self) -> int:
        return len(self._order)

    def part(self, start: int, stop: int) -> tuple[Ids, Integers, Integers]:
        """(item_ids, repeats, strata) of the rows at the positions `start` to `stop` - 1."""
        rows = self._order[start:stop]
        return self._items.take(rows), self._repeats.take(rows), self._strata.take(rows)

    def _settle(self, leading: npt.NDArray[np.uint64], seed: int) -> None:
        """Order the rows among themselves that have the same leading digits."""
        same = leading[1:] == leading[:-1]
        places = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
        if not len(places):
            return
        rows, group = self._order[places], leading[places]
        items, repeats = self._items[rows], self._repeats[rows]
        keys = np.zeros(len(places), f"S{DIGITS}")
        mixed = group[1:][(group[1:] == group[:-1]) & (items[1:] != items[:-1])]
        for index in np.flatnonzero(np.isin(group, mixed)):  # in other groups all rows are one item's
            text = b"%d:order:%s" % (seed, items[index])
            keys[index] = hashlib.md5(text, usedforsecurity=False).hexdigest().encode()
        self._order[places] = rows[np.lexsort((repeats, items, keys, group))]


def _digits(column: pa.Array) -> npt.NDArray[np.uint8]:
    """The characters of a column of strings, a row each; ValueError if one has not 32 digits."""
    wide = pa.types.is_large_string(column.type)
    offsets = np.frombuffer(column.buffers()[1], np.int64 if wide else np.int32)
    offsets = offsets[column.offset : column.offset + len(column) + 1]
    if np.any(np.diff(offsets) != DIGITS):
        raise ValueError(f"an item_id or order key is not of {DIGITS} digits")
    if not len(column):
        return np.empty((0, DIGITS), np.uint8)
    data = np.frombuffer(column.buffers()[2], np.uint8, len(column) * DIGITS, int(offsets[0]))
    return data.reshape(-1, DIGITS)


def _leading(digits: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """The number that the first eight digits of each row write in base 16."""
    word = np.uint64
    number = digits[:, :8].copy().view(">u8")[:, 0].astype(word)
    letters = (number >> word(6)) & word(0x0101010101010101)  # 1 in the byte of each of a-f
    number = (number & word(0x0F0F0F0F0F0F0F0F)) + letters * word(9)
    for shift, mask in ((4, 0x00FF00FF00FF00FF), (8, 0x0000FFFF0000FFFF), (16, 0xFFFFFFFF)):
        number = (number | (number >> word(shift))) & word(mask)
    return number
