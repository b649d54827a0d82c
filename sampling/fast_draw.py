"""The fast way to the rows of `sql/sampling/draw.sql`: key bounds instead of ranks, integers for strings.

Rank keys are uniform. Of a stratum's candidates about as large a part lies below x as x is of all keys, so
a stratum that takes 30 % of its candidates takes nearly every key under 30 % and hardly one above. Chernoff's
bound gives two keys per stratum: candidates under `low` are selected and those over `high` are not, and only
the narrow band between is ranked. Should a bound fail, which the counts reveal, the definition runs instead.

A slot is a stratum and a round (`repeat`). Ranks and the order of the manifest are computed from the first
hexadecimal digits of the md5 keys as 64-bit integers, which sort several times as fast as strings. Rows that
agree in these digits are compared by their whole keys.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..catalog.queries import query
from .temp_tables import TempTables

log = logging.getLogger("derlem.sample")

BELOW, ABOVE = "", "g"
"""Bounds under and over every key of hexadecimal digits."""
MISSED = 1e-8
"""Bound of the chance that a stratum's last selected key lies below its bounds, and that it lies above."""
MEMORY = 6_000_000_000
"""Bytes that the rows of a draw may take outside the database. Larger draws use the definition."""
_ROW_BYTES = 60
_RANKED_BYTES = 150
"""Bytes per row that is selected, and that is ranked."""
ITEMS_AT_ONCE = 10_000_000
"""Candidates within bounds that are fetched at a time, about; 80 bytes each."""
_HALVINGS = 24
"""Halvings of the interval that contains a bound: the rest is less than an item of ten million."""
_BATCH = 2**16
"""Rows that are converted at a time, small enough for the processor's caches."""

ID_DIGITS = 32
Ints: TypeAlias = npt.NDArray[np.int64]
Integers: TypeAlias = npt.NDArray[np.int32]
Words: TypeAlias = npt.NDArray[np.uint64]
Floats: TypeAlias = npt.NDArray[np.float64]
Digits: TypeAlias = npt.NDArray[np.uint8]
"""Characters 0-9 and a-f, a row for each number."""
Ids: TypeAlias = npt.NDArray[np.bytes_]
"""Item ids, 32 bytes each."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Rows that may be selected, in columns of one length."""

    keys: Words
    """The first 16 digits of the rank keys."""
    prefixes: Words
    """The first 8 digits of the order keys."""
    slots: Integers
    items: Ids


@dataclass(frozen=True, slots=True)
class Slots:
    """One round of one stratum each: `seats` of `items` are taken, those with keys up to a bound between
    `low` and `high`."""

    stratum: Integers
    repeat: Integers
    seats: Ints
    items: Ints
    low: list[str]
    high: list[str]


def fast_draw(
    temp: TempTables, categories: Sequence[str], sources: Sequence[str], seats: Ints, items: Ints, seed: int
) -> OrderedRows | None:
    """The rows that `draw.sql` selects, in its order; None where the definition has to be used.

    The strata are numbered as in `draw_strata`; `seats` and `items` count what is left of each beside
    `draw_kept`. The definition is used for repeats in an extended manifest, for draws that would take more
    than MEMORY, and where a key bound failed.
    """
    kept = temp.count("draw_kept")
    if kept and bool(np.any(seats > items)):
        return None
    slots = _slots(seats, items)
    total = int(seats.sum()) + kept
    band = _width(slots) * slots.items
    if total * _ROW_BYTES + float(band.sum()) * _RANKED_BYTES > MEMORY:
        return None
    temp.fill(
        "draw_bounds",
        {
            "slot": np.arange(len(slots.stratum), dtype=np.int32),
            "category": [categories[stratum] for stratum in slots.stratum],
            "source": [sources[stratum] for stratum in slots.stratum],
            "suffix": [f"-r{repeat}" if repeat else "" for repeat in slots.repeat.tolist()],
            "low": slots.low,
            "high": slots.high,
        },
    )
    temp.view("draw_remaining", query("sampling/remaining") if kept else "SELECT * FROM draw_candidates")
    rows = OrderedRows(total, seed)
    ranked: list[Ranked] = []
    pieces = 1 + (total + int(band.sum())) // ITEMS_AT_ONCE
    edges = [BELOW, *(f"{2**32 * piece // pieces:08x}" for piece in range(1, pieces)), ABOVE]
    for first, last in pairwise(edges):
        found = temp.fetch(
            query("duckdb/bounded_candidates"), draw_seed=str(seed), draw_first=first, draw_last=last
        )
        if rows.count + found.column("key").null_count > total:  # more than all seats
            return None
        ranked.append(_take(found, rows))
    if not _select(_join(ranked), rows, slots):
        log.debug("a key bound failed: the draw is ranked in full")
        return None
    rows.add_kept(temp, slots)
    rows.sort()
    return rows


def key_bounds(seats: Ints, items: Ints) -> tuple[list[str], list[str]]:
    """(low, high) for strata of so many items, the first `seats` of which are taken.

    Items with keys under `low` are taken and those over `high` are not, but for the chance of MISSED. Where
    all items are taken, or none, this is certain.
    """
    part = np.minimum(seats / np.maximum(items, 1), 1.0)
    low, high = (_keys(_edge(part, items, end)) for end in (0.0, 1.0))
    for stratum in np.flatnonzero((seats == 0) | (seats >= items)):
        low[stratum] = high[stratum] = ABOVE if seats[stratum] else BELOW
    return low, high


def _edge(part: Floats, items: Ints, end: float) -> Floats:
    """The bound between `part` and `end`.

    Of n uniform keys, `part` of them or more lie below a smaller x, or `part` of them or less below a
    greater one, with a chance of at most exp(-n * KL(part || x)), where KL is the relative entropy of two
    coins (Chernoff's bound: Hoeffding, Probability inequalities for sums of bounded random variables, 1963).
    """
    near, far = part, np.full_like(part, end)
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            heads = np.where(part > 0, part * np.log(part / middle), 0.0)
            tails = np.where(part < 1, (1 - part) * np.log((1 - part) / (1 - middle)), 0.0)
        enough = items * (heads + tails) >= -math.log(MISSED)
        near, far = np.where(enough, near, middle), np.where(enough, middle, far)
    return far


def _keys(parts: Floats) -> list[str]:
    """The keys, to twelve digits, below which these parts of all keys lie."""
    scaled = np.clip(parts, 0.0, 1.0) * 2.0**48
    return [
        BELOW if key <= 0 else ABOVE if key >= 2**48 else f"{key:012x}" for key in scaled.astype(np.int64)
    ]


def _slots(seats: Ints, items: Ints) -> Slots:
    """The rounds of every stratum: full ones as long as seats exceed items, then the rest."""
    items = np.maximum(items, 1)
    full = np.where(seats > items, (seats - 1) // items, 0)
    stratum = np.repeat(np.arange(len(seats)), full + 1)
    repeat = np.arange(len(stratum)) - np.repeat(np.cumsum(full + 1) - full - 1, full + 1)
    taken = np.minimum(seats[stratum] - repeat * items[stratum], items[stratum])
    low, high = key_bounds(taken, items[stratum])
    return Slots(stratum.astype(np.int32), repeat.astype(np.int32), taken, items[stratum], low, high)


def _width(slots: Slots) -> Floats:
    """The part of all keys between the bounds of each slot."""

    def parts(keys: Sequence[str]) -> Floats:
        return np.array([1.0 if key == ABOVE else int(key or "0", 16) / 2**48 for key in keys])

    return parts(slots.high) - parts(slots.low)


def digits(column: pa.Array, count: int) -> Digits:
    """The characters of a column of strings, a row each; ValueError if one has not `count` digits."""
    wide = pa.types.is_large_string(column.type)
    offsets = np.frombuffer(column.buffers()[1], np.int64 if wide else np.int32)
    offsets = offsets[column.offset : column.offset + len(column) + 1]
    if np.any(np.diff(offsets) != count):
        raise ValueError(f"a hexadecimal number is not of {count} digits")
    if not len(column):
        return np.empty((0, count), np.uint8)
    data = np.frombuffer(column.buffers()[2], np.uint8, len(column) * count, int(offsets[0]))
    return data.reshape(-1, count)


def hex_keys(written: Digits) -> Words:
    """The numbers that rows of eight hexadecimal digits write."""
    word = np.uint64
    number = written.copy().view(">u8")[:, 0].astype(word)
    letters = (number >> word(6)) & word(0x0101010101010101)  # 1 in the byte of each of a-f
    number = (number & word(0x0F0F0F0F0F0F0F0F)) + letters * word(9)
    for shift, mask in ((4, 0x00FF00FF00FF00FF), (8, 0x0000FFFF0000FFFF), (16, 0xFFFFFFFF)):
        number = (number | (number >> word(shift))) & word(mask)
    return number


def _ids(column: pa.Array) -> Ids:
    return digits(column, ID_DIGITS).view(f"S{ID_DIGITS}")[:, 0]


def _take(found: pa.Table, rows: OrderedRows) -> Ranked:
    """Put the fetched rows that need no rank into `rows` and return the others, in two threads."""
    batches = found.to_batches(_BATCH)
    unranked = [batch.column("key").null_count for batch in batches]
    counts = [len(batch) - count for batch, count in zip(batches, unranked, strict=True)]
    ranked = _empty(sum(counts))

    def take(batch: pa.RecordBatch, row: int, start: int) -> None:
        certain = batch.column("key").is_null().to_numpy(zero_copy_only=False)
        items, slots = _ids(batch.column("item_id")), batch.column("slot").to_numpy()
        prefixes = hex_keys(digits(batch.column("order_prefix"), 8))
        rows.put(row, items[certain], slots[certain], prefixes[certain])
        written = digits(batch.column("key").drop_null(), 16)
        place, rest = slice(start, start + len(written)), np.flatnonzero(~certain)
        ranked.keys[place] = hex_keys(written[:, :8]) << np.uint64(32) | hex_keys(written[:, 8:])
        ranked.prefixes[place], ranked.slots[place] = prefixes[rest], slots[rest]
        ranked.items[place] = items[rest]

    with ThreadPoolExecutor(2) as threads:
        for _ in threads.map(
            take, batches, accumulate(unranked, initial=rows.count), accumulate(counts, initial=0)
        ):
            pass
    rows.count += sum(unranked)
    return ranked


def _empty(rows: int) -> Ranked:
    return Ranked(
        np.empty(rows, np.uint64),
        np.empty(rows, np.uint64),
        np.empty(rows, np.int32),
        np.empty(rows, f"S{ID_DIGITS}"),
    )


def _join(parts: Sequence[Ranked]) -> Ranked:
    if len(parts) == 1:
        return parts[0]
    columns = zip(*((part.keys, part.prefixes, part.slots, part.items) for part in parts), strict=True)
    return Ranked(*map(np.concatenate, columns))


def _select(ranked: Ranked, rows: OrderedRows, slots: Slots) -> bool:
    """Add the candidates with the smallest keys of each slot to `rows`; False where a bound failed."""
    known = np.bincount(rows.slots[: rows.count], minlength=len(slots.seats))
    free = slots.seats - known
    if np.any(free < 0) or np.any(np.bincount(ranked.slots, minlength=len(free)) < free):
        return False
    chosen = np.flatnonzero(smallest(ranked, free, rows.seed))
    rows.put(rows.count, ranked.items[chosen], ranked.slots[chosen], ranked.prefixes[chosen])
    rows.count += len(chosen)
    return True


def smallest(ranked: Ranked, free: Ints, seed: int) -> npt.NDArray[np.bool_]:
    """Which rows are among the first `free` of their slot, by key and item_id.

    Slot and the leading bits of the key make one integer. The sorted integers give the last one that is
    selected in each slot; where several rows have that one, whole keys decide.
    """
    bits = np.uint64(max(1, int(len(free) - 1).bit_length()))
    shift = np.uint64(64) - bits
    combined = ranked.slots.astype(np.uint64) << shift | ranked.keys >> bits
    order = np.sort(combined)
    taking = np.flatnonzero(free)
    starts = np.searchsorted(order, taking.astype(np.uint64) << shift)
    last = np.zeros(len(free), np.uint64)
    last[taking] = order[starts + free[taking] - 1]
    chosen: npt.NDArray[np.bool_] = (combined <= last[ranked.slots]) & (free[ranked.slots] > 0)
    over = np.bincount(ranked.slots[chosen], minlength=len(free)) - free
    tied = np.flatnonzero(chosen & (over[ranked.slots] > 0) & (combined == last[ranked.slots]))
    keys = {row: _md5(b"%d:%s" % (seed, ranked.items[row])) for row in tied.tolist()}
    for row in sorted(keys, key=lambda row: (keys[row], ranked.items[row]), reverse=True):
        slot = ranked.slots[row]
        if over[slot]:
            chosen[row] = False
            over[slot] -= 1
    return chosen


def _md5(text: bytes) -> bytes:
    return hashlib.md5(text, usedforsecurity=False).hexdigest().encode()


class OrderedRows:
    """The rows of a manifest by (order key, item_id, repeat): about 50 bytes each, fewer than 2^32."""

    def __init__(self, total: int, seed: int) -> None:
        self.seed = seed
        self.count = 0
        """Rows that have been put."""
        self.slots: Integers = np.empty(total, np.int32)
        self._items: Ids = np.empty(total, f"S{ID_DIGITS}")
        self._prefixes: Words = np.empty(total, np.uint64)
        self._order: npt.NDArray[np.uint32] = np.empty(0, np.uint32)
        self._strata: Integers = np.empty(0, np.int32)
        self._repeats: Integers = np.empty(0, np.int32)

    def __len__(self) -> int:
        return len(self.slots)

    def put(self, start: int, items: Ids, slots: Integers, prefixes: Words) -> None:
        """Put rows in the places from `start`; `prefixes` are the first eight digits of their order keys."""
        end = start + len(items)
        self._items[start:end], self.slots[start:end], self._prefixes[start:end] = items, slots, prefixes

    def add_kept(self, temp: TempTables, slots: Slots) -> None:
        """Add the rows of the extended manifest, and name the strata and repeats of all slots."""
        kept = temp.fetch(query("duckdb/kept"), draw_seed=str(self.seed))
        pairs = np.column_stack([kept.column(name).to_numpy() for name in ("stratum", "repeat")])
        places, inverse = np.unique(pairs, axis=0, return_inverse=True)
        numbers: Integers = (inverse.reshape(-1) + len(slots.stratum)).astype(np.int32)
        start = 0
        for batch in kept.to_batches():
            prefixes = hex_keys(digits(batch.column("order_prefix"), 8))
            self.put(self.count, _ids(batch.column("item_id")), numbers[start : start + len(batch)], prefixes)
            self.count += len(batch)
            start += len(batch)
        self._strata = np.concatenate([slots.stratum, places[:, 0].astype(np.int32)])
        self._repeats = np.concatenate([slots.repeat, places[:, 1].astype(np.int32)])

    def sort(self) -> None:
        """Put all rows in order; ValueError unless there are as many as announced."""
        if self.count != len(self):
            raise ValueError(f"{self.count} rows were drawn, not {len(self)}")
        keys = self._prefixes
        keys <<= np.uint64(32)
        keys |= np.arange(len(self), dtype=np.uint64)
        keys.sort()
        self._order = keys.astype(np.uint32)
        keys >>= np.uint64(32)
        self._sort_ties(keys)
        self._prefixes = np.empty(0, np.uint64)

    def part(self, start: int, stop: int) -> tuple[Ids, Integers, Integers]:
        """(item_ids, repeats, strata) of the rows at the positions `start` to `stop` - 1."""
        rows = self._order[start:stop]
        slots = self.slots.take(rows)
        return self._items.take(rows), self._repeats.take(slots), self._strata.take(slots)

    def _sort_ties(self, prefixes: Words) -> None:
        """Order the rows among themselves whose order keys begin with the same digits."""
        same = prefixes[1:] == prefixes[:-1]
        places = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
        if not len(places):
            return
        rows, group = self._order[places], prefixes[places]
        items, repeats = self._items[rows], self._repeats[self.slots[rows]]
        keys = np.zeros(len(places), f"S{ID_DIGITS}")
        for index, (item, repeat) in enumerate(zip(items.tolist(), repeats.tolist(), strict=True)):
            suffix = b"-r%d" % repeat if repeat else b""
            keys[index] = _md5(b"%d:order:%s%s" % (self.seed, item, suffix))
        self._order[places] = rows[np.lexsort((repeats, items, keys, group))]
