"""Archives of every kind behind two questions: what is in it, and what are the bytes of these members."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Protocol

from ...catalog.models import Failure
from ...catalog.status import Reason
from ...core.sniff import HEAD, media_type
from . import tar, zip
from .members import ArchiveError, ArchiveLimits, Member, Place
from .streams import COMPRESSED, File, PlainFile, Stream, Unpacked, read_at, size_of

SPAN = 2**20
"""Bytes that are read at once for small members that lie close together."""

GAP = 2**14
"""Bytes that may lie between them."""

_SMALL = 2**17
_CHANGED = zip.CHANGED
_CUT = Failure(Reason.TRUNCATED, "the archive ends inside this member")


class Container(Protocol):
    """An open archive."""

    is_tar: bool
    one_pass: bool
    """Whether members can only be met one after the other."""

    def members(self) -> Iterator[Member]:
        """What is in it; ArchiveError when it cannot be read on."""

    def read(self, places: Iterable[Place]) -> Iterator[bytes | Failure]:
        """The bytes at each place, in the order given; a few places at a time, they may be held together."""


def open_tar(handle: File, limits: ArchiveLimits) -> PlainTar | PackedTar:
    """The tar open as `handle`, compressed or not; ArchiveError if it is none."""
    size = size_of(handle)
    head = read_at(handle, HEAD, 0)
    kind = media_type(head)
    if kind in COMPRESSED:
        return PackedTar(handle, kind, limits)
    if kind == "application/x-tar" or (head and not head[: tar.BLOCK].strip(b"\0")):
        return PlainTar(handle, size)
    raise ArchiveError(Reason.BAD_ARCHIVE, f"{kind} is no archive that can be read" if size else "empty")


def open_container(handle: int, limits: ArchiveLimits, names: str | None = None) -> Container:
    """The archive open as `handle`, its kind detected from its bytes; ArchiveError if it is none.

    `names` is the encoding of a zip's names that declare none; None: guessed.
    """
    try:
        return open_tar(handle, limits)
    except ArchiveError:
        size = size_of(handle)
        is_zip = media_type(read_at(handle, HEAD, 0)) == "application/zip"
        if is_zip or b"PK\5\6" in read_at(handle, 2**16, max(0, size - 2**16)):
            return Zip(handle, size, limits, names)
        raise


class PlainTar:
    """A tar that is not compressed: listed by its headers, read by position."""

    is_tar = True
    one_pass = False

    def __init__(self, handle: File, size: int) -> None:
        self._handle = handle
        self._size = size
        self.stream: Stream = PlainFile(handle, size)

    def members(self) -> Iterator[Member]:
        """Walk the headers; the caller may take a member's data from `stream` on the way."""
        return tar.members(self.stream, self._size)

    def read(self, places: Iterable[Place]) -> Iterator[bytes | Failure]:
        """Read neighbours together, and each member with its header, which shows whether the tar changed."""
        asked = list(places)
        found: dict[int, bytes | Failure] = {}
        for span in _spans(sorted(asked)):
            start = span[0].at - tar.BLOCK
            if span[0].size > _SMALL:  # alone, and not to be copied once more
                header = read_at(self._handle, tar.BLOCK, start)
                data = read_at(self._handle, span[0].size, span[0].at)
                found[span[0].at] = _checked(header, data, span[0])
                continue
            block = read_at(self._handle, span[-1].at + span[-1].size - start, start)
            for place in span:
                at = place.at - start
                data = block[at : at + place.size]
                found[place.at] = _checked(block[at - tar.BLOCK : at], data, place)
        yield from (found[place.at] for place in asked)


class PackedTar:
    """A compressed tar: one pass from front to back, another for members before the position."""

    is_tar = True
    one_pass = True

    def __init__(self, handle: File, kind: str, limits: ArchiveLimits) -> None:
        self._open: Callable[[], Unpacked] = partial(Unpacked, handle, kind, limits)
        self.stream: Stream = self._open()

    def members(self) -> Iterator[Member]:
        """Unpack and walk the headers; the caller may take a member's data from `stream` on the way."""
        return tar.members(self.stream)

    def read(self, places: Iterable[Place]) -> Iterator[bytes | Failure]:
        """Unpack up to each place in turn."""
        for place in places:
            if place.at - tar.BLOCK < self.stream.position:
                self.stream = self._open()
            try:
                self.stream.skip(place.at - tar.BLOCK - self.stream.position)
                yield _checked(self.stream.take(tar.BLOCK), self.stream.take(place.size), place)
            except ArchiveError as error:
                yield Failure(error.reason, error.detail)
            except (OSError, MemoryError):
                self.stream = self._open()
                raise


class Zip:
    """A zip: listed by its central directory, read by position."""

    is_tar = False
    one_pass = False

    def __init__(self, handle: int, size: int, limits: ArchiveLimits, names: str | None = None) -> None:
        self._handle = handle
        self._size = size
        self._limits = limits
        self._names = names

    def members(self) -> Iterator[Member]:
        """Read the central directory."""
        return zip.members(self._handle, self._size, self._limits, self._names)

    def read(self, places: Iterable[Place]) -> Iterator[bytes | Failure]:
        """Unpack each member on its own."""
        for place in places:
            outcome = zip.read(self._handle, place)
            if outcome == _CHANGED and self._is_listed(place):
                outcome = Failure(Reason.BAD_MEMBER, "its local header is damaged")
            yield outcome

    def _is_listed(self, place: Place) -> bool:
        """Whether the directory still has a member at this place."""
        try:
            return any(member.place == place for member in self.members())
        except ArchiveError:
            return False


def _checked(header: bytes, data: bytes, place: Place) -> bytes | Failure:
    if len(data) < place.size:
        return _CUT
    return data if zlib.crc32(header) == place.check else _CHANGED


def _spans(places: Iterable[Place]) -> Iterator[list[Place]]:
    """Group places that lie close after each other."""
    span: list[Place] = []
    for place in places:
        if span:
            end = span[-1].at + span[-1].size
            near = span[-1] == place or end <= place.at - tar.BLOCK <= end + GAP
            small = max(place.size, span[-1].size) <= _SMALL
            if near and small and place.at + place.size - span[0].at <= SPAN:
                span.append(place)
                continue
            yield span
        span = [place]
    if span:
        yield span
