"""A common interface to plain tars, compressed tars and zips: list the members, read their bytes."""

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
"""Maximum bytes of one read for adjacent small members."""

GAP = 2**14
"""Maximum bytes between adjacent members."""

_SMALL = 2**17
_CHANGED = zip.CHANGED
_CUT = Failure(Reason.TRUNCATED, "the archive ends inside this member")


class Container(Protocol):
    """An open archive."""

    is_tar: bool
    one_pass: bool
    """Whether members can be read only in the order of the archive."""

    def members(self) -> Iterator[Member]:
        """Yield the members; ArchiveError at the first damage."""

    def read(self, places: Iterable[Place]) -> Iterator[bytes | Failure]:
        """Yield the bytes at each place, in order. All may be in memory at once: pass few places."""


def open_tar(handle: File, limits: ArchiveLimits) -> PlainTar | PackedTar:
    """Return the tar open as `handle`, compressed or not; ArchiveError if the file is not a tar."""
    size = size_of(handle)
    head = read_at(handle, HEAD, 0)
    kind = media_type(head)
    if kind in COMPRESSED:
        return PackedTar(handle, kind, limits)
    if kind == "application/x-tar" or (head and not head[: tar.BLOCK].strip(b"\0")):
        return PlainTar(handle, size)
    raise ArchiveError(Reason.BAD_ARCHIVE, f"{kind} is not a supported archive" if size else "empty")


def open_container(handle: int, limits: ArchiveLimits, names: str | None = None) -> Container:
    """Return the archive open as `handle`, detected from its bytes; ArchiveError if not an archive.

    `names` is the encoding of names in a zip that declares none; None: guessed.
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
    """An uncompressed tar: listed by its headers, read by position."""

    is_tar = True
    one_pass = False

    def __init__(self, handle: File, size: int) -> None:
        self._handle = handle
        self._size = size
        self.stream: Stream = PlainFile(handle, size)

    def members(self) -> Iterator[Member]:
        """Read the headers; between members, the caller may read a member's data from `stream`."""
        return tar.members(self.stream, self._size)

    def read(self, places: Iterable[Place]) -> Iterator[bytes | Failure]:
        """Read adjacent members together, with their headers, whose checksums detect a changed tar."""
        requested = list(places)
        found: dict[int, bytes | Failure] = {}
        for span in _spans(sorted(requested)):
            start = span[0].at - tar.BLOCK
            if span[0].size > _SMALL:  # a span of one large member, read without a further copy
                header = read_at(self._handle, tar.BLOCK, start)
                data = read_at(self._handle, span[0].size, span[0].at)
                found[span[0].at] = _checked(header, data, span[0])
                continue
            block = read_at(self._handle, span[-1].at + span[-1].size - start, start)
            for place in span:
                at = place.at - start
                data = block[at : at + place.size]
                found[place.at] = _checked(block[at - tar.BLOCK : at], data, place)
        yield from (found[place.at] for place in requested)


class PackedTar:
    """A compressed tar: read in one pass; a place before the current position starts another pass."""

    is_tar = True
    one_pass = True

    def __init__(self, handle: File, kind: str, limits: ArchiveLimits) -> None:
        self._open: Callable[[], Unpacked] = partial(Unpacked, handle, kind, limits)
        self.stream: Stream = self._open()

    def members(self) -> Iterator[Member]:
        """Unpack and walk the headers; the caller may take a member's data from `stream` on the way."""
        return tar.members(self.stream)

    def read(self, places: Iterable[Place]) -> Iterator[bytes | Failure]:
        """Unpack up to each place, in order."""
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
    """A zip file: listed by its central directory, read by position."""

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
        """Unpack each member separately."""
        for place in places:
            outcome = zip.read(self._handle, place)
            if outcome == _CHANGED and self._is_listed(place):
                outcome = Failure(Reason.BAD_MEMBER, "its local header is damaged")
            yield outcome

    def _is_listed(self, place: Place) -> bool:
        """Return whether the directory has a member at this place."""
        try:
            return any(member.place == place for member in self.members())
        except ArchiveError:
            return False


def _checked(header: bytes, data: bytes, place: Place) -> bytes | Failure:
    if len(data) < place.size:
        return _CUT
    return data if zlib.crc32(header) == place.check else _CHANGED


def _spans(places: Iterable[Place]) -> Iterator[list[Place]]:
    """Group adjacent places."""
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
