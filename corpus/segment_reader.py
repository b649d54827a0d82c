"""Copies images out of segments and checks their hashes: no decoding, in order, within a budget of memory.

A drawn sample's order is random over all segments. So the ranges of the next some ten megabytes are announced
to the kernel ahead of time, sorted by segment and offset: the disk sees forward sweeps with many requests at
once. The copy itself goes through a window that stays in the processor's cache.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from operator import itemgetter
from types import TracebackType

import pyarrow as pa

from ..core.workspace import Workspace
from .errors import DamagedImage, MissingBytes

WINDOW = 2 * 1024 * 1024
"""Bytes of a shard that are laid out at once. Measured: at 32 MB hashing and writing cost twice as much."""
READ_AHEAD = 64 * 1024 * 1024
"""Bytes that are announced at once; twice as much may lie in the page cache, unread, per worker."""

_OPEN_FILES = 256
"""Segments that are kept open, far below the usual limit of a process."""

Place = tuple[str, int, int, str]
"""Segment, offset in its tar, length, and the sha256 (hex) that the bytes must have."""

_COLUMNS = ("segment", "offset", "length", "image_sha256", "more_images")
"""The columns of a plan that make the Places of its images."""


class Segments:
    """The segments' tars, open for reading as long as the shard that is made from them; the caller closes."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._open: dict[str, int] = {}

    def __enter__(self) -> Segments:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def fill(self, ranges: list[tuple[str, int, str, memoryview]]) -> None:
        """Read each range (segment, offset, sha256) into its place, and check its hash.

        Raises MissingBytes if a segment lacks the range, DamagedImage if the bytes have another hash.
        """
        ranges.sort(key=itemgetter(0, 1))
        for segment, offset, sha256, place in ranges:
            descriptor, done = self._descriptor(segment), 0
            while done < len(place):  # a read may be cut short at 2 GiB, or by a signal
                more = os.preadv(descriptor, [place[done:] if done else place], offset + done)
                if more == 0:
                    raise MissingBytes(self._workspace.segment_tar(segment), offset, len(place))
                done += more
            if hashlib.sha256(place).hexdigest() != sha256:  # the bytes are in the processor's cache
                raise DamagedImage(segment, offset, sha256)

    def announce(self, places: list[Place]) -> None:
        """Announce to the kernel that these will be read soon; a no-op where that is not supported."""
        if hasattr(os, "posix_fadvise"):
            for segment, offset, length, _ in sorted(places):
                os.posix_fadvise(self._descriptor(segment), offset, length, os.POSIX_FADV_WILLNEED)

    def _descriptor(self, segment: str) -> int:
        descriptor = self._open.get(segment)
        if descriptor is None:
            if len(self._open) >= _OPEN_FILES:
                os.close(self._open.pop(next(iter(self._open))))
            path = self._workspace.segment_tar(segment)
            try:
                descriptor = self._open[segment] = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                raise MissingBytes(path) from None
        return descriptor


def ahead(segments: Segments, plan: pa.Table) -> Iterator[Place]:
    """The place of each image of a plan, in order; the following ones are announced meanwhile."""
    for _, places in groups(segments, plan, READ_AHEAD):
        yield from places


def groups(segments: Segments, plan: pa.Table, size: int) -> Iterator[tuple[int, list[Place]]]:
    """A plan in groups of at most `size` bytes or one row: the number of rows, and the places of all images.

    When a group is given, the one after it has been announced.
    """
    pending: tuple[int, list[Place]] | None = None
    for group in _groups(plan, size):
        segments.announce(group[1])
        if pending is not None:
            yield pending
        pending = group
    if pending is not None:
        yield pending


def _groups(plan: pa.Table, size: int) -> Iterator[tuple[int, list[Place]]]:
    columns = (plan.column(name).to_pylist() for name in _COLUMNS)
    group: list[Place] = []
    rows = held = 0
    for segment, offset, length, sha256, more in zip(*columns, strict=True):
        places = [(segment, offset, length, sha256)]
        if more:
            places += [(segment, image["offset"], image["length"], image["sha256"]) for image in more]
        total = sum(place[2] for place in places) if more else length
        if group and held + total > size:
            yield rows, group
            group, rows, held = [], 0, 0
        group += places
        rows += 1
        held += total
    if group:
        yield rows, group


class Window:
    """A part of a shard in memory: some bytes are put in, others are reserved and read in by `filled`.

    One buffer serves all windows of a shard, as fresh memory costs more than the copy into it.
    """

    def __init__(self, segments: Segments, capacity: int = WINDOW) -> None:
        self._segments = segments
        self._view = memoryview(bytearray(capacity))
        self._size = 0
        self._ranges: list[tuple[str, int, str, memoryview]] = []

    def has_room(self, size: int) -> bool:
        """Whether `size` more bytes fit; an empty window grows until they do."""
        if self._size == 0 and size > len(self._view):
            self._view = memoryview(bytearray(size))
        return self._size + size <= len(self._view)

    def put(self, data: bytes) -> None:
        """Append bytes that are at hand."""
        self._view[self._size : self._size + len(data)] = data
        self._size += len(data)

    def reserve(self, place: Place) -> None:
        """Append the bytes of an image in a segment's tar."""
        segment, offset, length, sha256 = place
        self._ranges.append((segment, offset, sha256, self._view[self._size : self._size + length]))
        self._size += length

    def filled(self) -> memoryview:
        """The window's bytes, the reserved ones read and checked; valid until `clear`."""
        self._segments.fill(self._ranges)
        return self._view[: self._size]

    def clear(self) -> None:
        """Start over with an empty window."""
        self._size = 0
        self._ranges.clear()
