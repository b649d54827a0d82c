"""Sequential reading of archives: plain files, and compressed files unpacked in pieces."""

from __future__ import annotations

import bz2
import functools
import io
import lzma
import os
import zlib
from collections.abc import Callable
from typing import IO, Protocol, cast

import zstandard

from ...catalog.status import Reason
from .members import ArchiveError, ArchiveLimits

CHUNK = 2**16
"""Packed bytes per read."""

PIECE = 2**18
"""Maximum unpacked bytes per piece."""

WINDOW = 2**27
"""Maximum window of a decompressor in bytes; `xz -9` and `zstd --long` use windows up to this size."""

_RATIO_FLOOR = 2**26
_SMALL = 2**13


File = int | IO[bytes]
"""An open archive: a file descriptor, or a seekable stream over a remote file."""


def read_at(file: File, count: int, at: int) -> bytes:
    """Return up to `count` bytes of a file from the position `at`."""
    if isinstance(file, int):
        return os.pread(file, count, at)
    file.seek(at)
    return file.read(count)


def size_of(file: File) -> int:
    """Return the size of a file in bytes."""
    return os.fstat(file).st_size if isinstance(file, int) else file.seek(0, os.SEEK_END)


class Stream(Protocol):
    """A source of bytes for sequential reading."""

    position: int

    def take(self, count: int) -> bytes:
        """The next `count` bytes, or fewer at the end."""

    def skip(self, count: int) -> int:
        """Pass over `count` bytes; how many there were."""


class PlainFile:
    """A file of a known size, read by position; a window buffers small reads."""

    def __init__(self, handle: File, size: int) -> None:
        self.position = 0
        self.size = size
        self._handle = handle
        self._window = b""
        self._start = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes, or fewer at the end."""
        begin = self.position - self._start
        if begin < 0 or begin + count > len(self._window):
            self._start, begin = self.position, 0
            self._window = read_at(self._handle, max(count, _SMALL), self.position)
        taken = self._window[begin : begin + count]
        self.position += len(taken)
        return taken

    def skip(self, count: int) -> int:
        """Pass over `count` bytes; how many there were."""
        there = max(0, min(count, self.size - self.position))
        self.position += there
        return there


class Unpacker(Protocol):
    """The common interface of the standard library's decompressors."""

    @property
    def eof(self) -> bool:
        """Whether the packed stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether further output requires further input."""

    @property
    def unused_data(self) -> bytes:
        """Input after the end of the packed stream."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return up to `max_length` unpacked bytes."""


class _Gzip:
    """zlib's decompressor with the interface of `Unpacker`."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        # zlib may have consumed all input and still buffer output beyond the last piece.
        return not self._inner.unconsumed_tail and not self._full

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self._full = len(piece) == max_length
        return piece


_UNPACKERS: dict[str, tuple[bytes, Callable[[], Unpacker]]] = {
    "application/gzip": (b"\x1f\x8b", _Gzip),
    "application/x-bzip2": (b"BZh", bz2.BZ2Decompressor),
    "application/x-xz": (b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=2 * WINDOW)),
}

COMPRESSED = frozenset({*_UNPACKERS, "application/zstd"})
"""Media types that `Unpacked` reads."""

_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class Unpacked:
    """Reads the content of a compressed file in one pass, in pieces of at most `PIECE` bytes.

    ArchiveError if the file is damaged or truncated (after all bytes before the damage), or if its
    content exceeds the limits.
    """

    def __init__(self, handle: File, kind: str, limits: ArchiveLimits) -> None:
        self.position = 0
        self._limits = limits
        self._packed = _Packed(handle)
        self._piece = memoryview(b"")
        self._made = 0
        self._next: Callable[[], bytes]
        if kind == "application/zstd":
            reader = zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(
                cast("IO[bytes]", self._packed), read_size=CHUNK, read_across_frames=True, closefd=False
            )
            self._next = functools.partial(_next_frames, reader)
        else:
            magic, unpacker = _UNPACKERS[kind]
            self._next = _pieces(self._packed, magic, unpacker)

    def take(self, count: int) -> bytes:
        """The next `count` bytes, or fewer at the end."""
        if count <= len(self._piece):
            taken = bytes(self._piece[:count])
            self._piece = self._piece[count:]
            self.position += count
            return taken
        # BytesIO returns its buffer without a copy, so that a large member is in memory once.
        gathered = io.BytesIO()
        self._pass(count, gathered.write)
        return gathered.getvalue()

    def skip(self, count: int) -> int:
        """Pass over `count` bytes; how many there were."""
        return self._pass(count, len)

    def _pass(self, count: int, use: Callable[[memoryview], int]) -> int:
        left = count
        while left and (self._piece or self._refill()):
            part = self._piece[:left]
            self._piece = self._piece[len(part) :]
            self.position += len(part)
            left -= len(part)
            use(part)
        return count - left

    def _refill(self) -> bool:
        try:
            piece = self._next()
        except _ERRORS as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # an error of the disk; bz2's OSError for bad data has no errno
            raise ArchiveError(Reason.BAD_ARCHIVE, f"damaged after {self._made} bytes: {error}") from error
        self._made += len(piece)
        if self._made > self._limits.archive_bytes:
            raise ArchiveError(
                Reason.ARCHIVE_BOMB,
                f"unpacks to over {self._limits.archive_bytes} bytes (limits.archive_bytes)",
            )
        if self._made > max(_RATIO_FLOOR, self._packed.count * self._limits.ratio):
            raise ArchiveError(
                Reason.ARCHIVE_BOMB, f"{self._packed.count} bytes unpack to {self._made} (limits.ratio)"
            )
        self._piece = memoryview(piece)
        return bool(piece)


class _Packed:
    """Reads the packed file by position and counts its bytes."""

    def __init__(self, handle: File) -> None:
        self.count = 0
        self._handle = handle

    def read(self, size: int = CHUNK) -> bytes:
        """The next `size` bytes, or fewer at the end."""
        data = read_at(self._handle, size, self.count)
        self.count += len(data)
        return data


def _next_frames(reader: zstandard.ZstdDecompressionReader) -> bytes:
    """Return the next piece of a zstd file; b'' at the end. Data after the end is ignored, as in gzip."""
    try:
        return reader.read1(PIECE)  # read() would lose a piece before damage
    except zstandard.ZstdError as error:
        if reader.tell() and "Unknown frame descriptor" in str(error):
            return b""
        raise


def _pieces(packed: _Packed, magic: bytes, unpacker: Callable[[], Unpacker]) -> Callable[[], bytes]:
    """Return a function that returns the next piece of one or several packed streams, b'' at the end."""
    current = unpacker()

    def following() -> bytes:
        nonlocal current
        while True:
            if not current.eof:
                data = packed.read() if current.needs_input else b""
                if not data and current.needs_input:
                    raise EOFError("cut short")
                if piece := current.decompress(data, PIECE):
                    return piece
                continue
            rest = current.unused_data
            while len(rest := rest.lstrip(b"\0")) < len(magic):  # zeros may follow a stream as padding
                data = packed.read()
                if not data:
                    return b""
                rest += data
            if not rest.startswith(magic):
                return b""  # the gzip, bzip2 and xz tools ignore trailing data
            current = unpacker()
            if piece := current.decompress(rest, PIECE):
                return piece

    return following
