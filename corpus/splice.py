"""Copies byte ranges out of segments: no decoding, each segment read in order.

A writer lays out a window of its shard and says which range belongs where in it; the ranges are then
read sorted by segment and offset, so that the disk sees a forward sweep whatever order the samples have.
"""

from __future__ import annotations

import os
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from ..catalog.workspace import Workspace
from .errors import MissingBytes

WINDOW = 32 * 1024 * 1024
"""Bytes of a shard that are laid out at once. Bounds a worker's memory, but for a larger single sample."""

Range = tuple[str, int, memoryview]
"""Segment, offset in its tar, and the place that the bytes go to (its size is theirs)."""


def fill(workspace: Workspace, ranges: list[Range]) -> None:
    """Read every range into its place; MissingBytes if a segment is gone or too short."""
    ranges.sort(key=itemgetter(0, 1))
    for segment, wanted in groupby(ranges, key=itemgetter(0)):
        path = workspace.segment_tar(segment)
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise MissingBytes(path) from None
        try:
            for _, offset, place in wanted:
                _read(path, descriptor, offset, place)
        finally:
            os.close(descriptor)


def _read(path: Path, descriptor: int, offset: int, place: memoryview) -> None:
    done = 0
    while done < len(place):  # a read may be cut short at 2 GiB, or by a signal
        more = os.preadv(descriptor, [place[done:] if done else place], offset + done)
        if more == 0:
            raise MissingBytes(path, offset, len(place))
        done += more


class Window:
    """A part of a shard in memory: some bytes are put in, others are reserved and read in by `filled`.

    One buffer serves all windows of a shard, as fresh memory costs more than the copy into it.
    """

    def __init__(self, workspace: Workspace, capacity: int = WINDOW) -> None:
        self._workspace = workspace
        self._view = memoryview(bytearray(capacity))
        self._size = 0
        self._ranges: list[Range] = []

    def has_room(self, size: int) -> bool:
        """Whether `size` more bytes fit; an empty window grows until they do."""
        if self._size == 0 and size > len(self._view):
            self._view = memoryview(bytearray(size))
        return self._size + size <= len(self._view)

    def put(self, data: bytes) -> None:
        """Append bytes that are at hand."""
        self._view[self._size : self._size + len(data)] = data
        self._size += len(data)

    def reserve(self, segment: str, offset: int, length: int) -> None:
        """Append `length` bytes that stand at `offset` in a segment's tar."""
        self._ranges.append((segment, offset, self._view[self._size : self._size + length]))
        self._size += length

    def filled(self) -> memoryview:
        """The window's bytes, the reserved ones read; valid until `clear`."""
        fill(self._workspace, self._ranges)
        return self._view[: self._size]

    def clear(self) -> None:
        """Start over with an empty window."""
        self._size = 0
        self._ranges.clear()
