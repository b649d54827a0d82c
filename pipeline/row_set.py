"""A set of row numbers in a range, of one bit per row."""

from __future__ import annotations

from collections.abc import Iterable

_CHUNK = 2**12
"""Bytes by which a set grows."""


class RowSet:
    """Rows of a plan file from `start` on; 50 million rows take 6 MB, and the ids of their items 9 GB."""

    __slots__ = ("_bits", "_start")

    def __init__(self, start: int = 0) -> None:
        self._start, self._bits = start, bytearray()

    def update(self, rows: Iterable[int]) -> None:
        """Add rows; ValueError for a row before `start`."""
        for row in rows:
            byte, bit = divmod(row - self._start, 8)
            if byte < 0:
                raise ValueError(f"row {row} is before {self._start}")
            if byte >= len(self._bits):
                self._bits.extend(bytes(byte - len(self._bits) + _CHUNK))
            self._bits[byte] |= 1 << bit

    def __contains__(self, row: int) -> bool:
        byte, bit = divmod(row - self._start, 8)
        return 0 <= byte < len(self._bits) and bool(self._bits[byte] >> bit & 1)

    def __bool__(self) -> bool:
        return any(self._bits)

    def copy(self) -> RowSet:
        """The same rows in another set."""
        other = RowSet(self._start)
        other._bits = bytearray(self._bits)
        return other
