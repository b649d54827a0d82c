"""Lists zips by their central directory and reads members by position (APPNOTE.TXT 6.3.10).

The reader is safe on hostile input: declared sizes are checked against the unpacked data, overlapping
members are rejected (with overlaps, a few megabytes can unpack to petabytes: Fifield, "A better zip bomb",
2019), and the memory of every decompressor is bounded.
"""

from __future__ import annotations

import bz2
import io
import logging
import lzma
import os
import re
import struct
import zlib
from collections.abc import Collection, Iterator
from typing import NamedTuple

import zstandard

from ...catalog.models import Failure
from ...catalog.status import Reason
from .members import ArchiveError, ArchiveLimits, Member, Place
from .streams import WINDOW, PlainFile, Unpacker

_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_ENCRYPTED = 0x2041  # encrypted, strongly encrypted, or with a masked directory
_UTF8 = 0x0800
_RATIO_FLOOR = 2**24
_GUESS = 512
"""Bytes read with a member's data for its local header, name and extra fields."""

CHANGED = Failure(Reason.MISSING, "the archive changed after it was listed")

ENCODINGS = ("cp437", "cp857", "cp1254", "cp866")
"""Candidates for a guessed encoding of names, the format's encoding first."""

_LATIN = re.compile(r"[\x00-\x7fÀ-ÖØ-öø-ÿĞğİıŞşŒœŸ]*")
_CYRILLIC = re.compile(r"[\x00-\x7fЀ-ӿ]*")

log = logging.getLogger("derlem.archive")

METHODS = {0: "stored", 8: "deflate", 12: "bzip2", 14: "lzma", 93: "zstd", 95: "xz"}
"""Supported compression methods."""


class _Directory(NamedTuple):
    start: int  # of the central directory, in the file
    size: int
    shift: int  # bytes before the zip, usually a self-extractor


def members(handle: int, size: int, limits: ArchiveLimits, names: str | None = None) -> Iterator[Member]:
    """Yield the members of the zip open as `handle`, in the order of its directory, without directories.

    `names` is the encoding of names that declare none and are not UTF-8; None: guessed. ArchiveError if
    the directory is damaged, after all members before the damage.
    """
    directory = _find_directory(handle, size)
    found: list[Member] = []
    problem: ArchiveError | None = None
    try:
        for member in _entries(handle, directory, limits):
            if len(found) > limits.members:
                break  # `validated` raises the error
            found.append(member)
    except ArchiveError as error:
        problem = error
    _decode_names(found, names)
    overlapping = _overlapping(found, directory.start)
    total = 0
    for number, member in enumerate(found):
        if member.reason is None:
            total += member.place.size
            if number in overlapping:
                member = member._replace(
                    reason=Reason.ARCHIVE_BOMB, detail="shares its bytes with another member"
                )
            elif total > limits.archive_bytes:
                detail = f"over {limits.archive_bytes} bytes in one archive (limits.archive_bytes)"
                member = member._replace(reason=Reason.ARCHIVE_BOMB, detail=detail)
        yield member
    if problem:
        raise problem


def read(handle: int, place: Place) -> bytes | Failure:
    """Return the data of the member at `place`; at most its listed size + 1 byte is unpacked."""
    block = os.pread(handle, _GUESS + place.packed, place.at)
    if len(block) < _LOCAL.size or block[:4] != b"PK\3\4":
        return CHANGED
    local = _LOCAL.unpack_from(block)
    if local[2] & _ENCRYPTED:
        return Failure(Reason.ENCRYPTED, "encrypted")
    begin = _LOCAL.size + local[9] + local[10]
    if begin + place.packed > len(block):
        block, begin = os.pread(handle, place.packed, place.at + begin), 0
    packed = block[begin : begin + place.packed]
    if len(packed) < place.packed:
        return Failure(Reason.TRUNCATED, "the archive ends inside this member")
    try:
        data = _unpack(packed, place)
    except (zlib.error, OSError, EOFError, ValueError, lzma.LZMAError, zstandard.ZstdError) as error:
        return Failure(Reason.BAD_MEMBER, f"cannot be unpacked: {error}")
    if len(data) != place.size:
        return Failure(Reason.BAD_MEMBER, f"does not unpack to the declared {place.size} bytes")
    if zlib.crc32(data) != place.check:
        return Failure(Reason.BAD_MEMBER, "its checksum does not match")
    return data


def _unpack(packed: bytes, place: Place) -> bytes:
    """Unpack up to one byte more than the declared size."""
    most = place.size + 1
    if place.method == 0:
        return packed
    if place.method == 8:
        return zlib.decompressobj(-15).decompress(packed, most)
    if place.method == 93:
        reader = zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(
            packed, read_across_frames=True
        )
        return reader.read(most)
    if place.method == 12:
        return _all(bz2.BZ2Decompressor(), packed, most)
    if place.method == 95:
        return _all(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=2 * WINDOW), packed, most)
    return _all(_lzma(packed), packed[9:], most)


def _all(unpacker: Unpacker, packed: bytes, most: int) -> bytes:
    """Return the output of `unpacker` for `packed`, up to `most` bytes."""
    made = io.BytesIO()
    made.write(unpacker.decompress(packed, most))
    while made.tell() < most and not (unpacker.eof or unpacker.needs_input):
        made.write(unpacker.decompress(b"", most - made.tell()))
    return made.getvalue()


def _lzma(packed: bytes) -> lzma.LZMADecompressor:
    """Return a decompressor for a zip's LZMA stream: 4 bytes of version, 5 of properties, then data."""
    if len(packed) < 9 or packed[2:4] != b"\5\0":
        raise ValueError("bad LZMA properties")
    rest, context = divmod(packed[4], 9)
    position, literal = divmod(rest, 5)
    history = int.from_bytes(packed[5:9], "little")
    if position > 4 or history > WINDOW:
        raise ValueError("LZMA properties beyond the limits")
    chain = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": max(history, 4096),
        "lc": context,
        "lp": literal,
        "pb": position,
    }
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain])


def _find_directory(handle: int, size: int) -> _Directory:
    """Find the central directory by the end record and its comment of up to 64 KiB.

    Comments and members may contain the signature of an end record. Records that end exactly at the end
    of the file are tried first, then later records before earlier records.
    """
    tail_start = max(0, size - 2**16 - _END.size)
    tail = os.pread(handle, size - tail_start, tail_start)
    ends = [
        (tail_start + match.start(), _END.unpack_from(tail, match.start()))
        for match in re.finditer(b"PK\5\6", tail)
        if match.start() + _END.size <= len(tail)
    ]
    problem = ArchiveError(Reason.BAD_ARCHIVE, "a zip without a central directory: truncated?")
    for at, end in sorted(
        ends, key=lambda one: (one[0] + _END.size + one[1][7] == size, one[0]), reverse=True
    ):
        try:
            return _directory(handle, size, at, end)
        except ArchiveError as error:
            problem = error
    raise problem


def _directory(handle: int, size: int, at: int, end: tuple[int, ...]) -> _Directory:
    """Return the central directory of the end record `end` at byte `at`."""
    disks, length, declared = end[1:3], end[5], end[6]
    locator = os.pread(handle, _LOCATOR.size, at - _LOCATOR.size) if at >= _LOCATOR.size else b""
    if locator[:4] == b"PK\6\7":
        at, disks, length, declared = _end64(handle, at, _LOCATOR.unpack(locator)[2])
    if disks != (0, 0):
        raise ArchiveError(Reason.BAD_ARCHIVE, "one of several parts of a zip")
    for start in (at - length, declared):
        if 0 <= start <= size and (os.pread(handle, 4, start) == b"PK\1\2" or not length):
            return _Directory(start, length, start - declared)
    raise ArchiveError(Reason.BAD_ARCHIVE, "the central directory is not where it should be")


def _end64(handle: int, end_at: int, declared: int) -> tuple[int, tuple[int, ...], int, int]:
    """Return the zip64 record: its position, disks, the directory's length and declared offset."""
    for at in (end_at - _LOCATOR.size - _END64.size, declared):
        block = os.pread(handle, _END64.size, at) if 0 <= at < end_at else b""
        if len(block) == _END64.size and block[:4] == b"PK\6\6":
            record = _END64.unpack(block)
            return at, record[4:6], record[8], record[9]
    raise ArchiveError(Reason.BAD_ARCHIVE, "the zip64 record is not where it should be")


def _entries(handle: int, directory: _Directory, limits: ArchiveLimits) -> Iterator[Member]:
    """Read the central directory entry by entry."""
    end = directory.start + directory.size
    stream = PlainFile(handle, end)
    stream.position = directory.start
    while stream.position < end:
        block = stream.take(_ENTRY.size)
        if len(block) < _ENTRY.size or block[:4] != b"PK\1\2":
            raise ArchiveError(Reason.BAD_ARCHIVE, "the central directory is damaged")
        entry = _ENTRY.unpack(block)
        lengths = entry[10:13]
        rest = stream.take(sum(lengths))
        if len(rest) < sum(lengths) or stream.position > end:
            raise ArchiveError(Reason.BAD_ARCHIVE, "the central directory is cut short")
        if member := _member(entry, rest, directory, limits):
            yield member


def _member(
    entry: tuple[int, ...], rest: bytes, directory: _Directory, limits: ArchiveLimits
) -> Member | None:
    """Return the member of an entry of the central directory, or None for a directory."""
    made_by, flags, method = entry[1] >> 8, entry[3], entry[4]
    check, packed, size, at = entry[7], entry[8], entry[9], entry[16]
    name_end = entry[10]
    raw, extra = rest[:name_end], rest[name_end : name_end + entry[11]]
    fields = _extra_fields(extra)
    name = _decode(raw, flags, fields)
    values = iter(struct.unpack_from(f"<{len(fields[1]) // 8}Q", fields[1]) if 1 in fields else ())
    problem = ""
    try:
        size = next(values) if size == 0xFFFFFFFF else size
        packed = next(values) if packed == 0xFFFFFFFF else packed
        at = next(values) if at == 0xFFFFFFFF else at
    except StopIteration:
        problem = "missing zip64 sizes"
    place = Place(at + directory.shift, size, check, packed, method)
    kind = entry[15] >> 28 if made_by in (3, 19) else 0  # the file type of Unix and Darwin
    if kind == 0o04 or (name.endswith("/") and not size):
        return None
    reason, detail = _rejection(kind, flags, place, problem, directory, limits)
    return Member(name, place, reason, detail)


def _rejection(
    kind: int, flags: int, place: Place, problem: str, directory: _Directory, limits: ArchiveLimits
) -> tuple[Reason | None, str]:
    """Return the reason and detail of a member that is not read, or (None, '')."""
    if kind == 0o12:
        return Reason.LINK, "a symbolic link"
    if kind not in (0, 0o10):
        return Reason.SPECIAL_FILE, "neither a file nor a directory"
    if flags & _ENCRYPTED or place.method == 99:
        return Reason.ENCRYPTED, "encrypted"
    if place.method not in METHODS:
        problem = problem or f"compression method {place.method}"
    if place.method == 0 and place.size != place.packed:
        problem = problem or "stored, but with different sizes"
    if not 0 <= place.at <= place.at + place.packed <= directory.start:
        problem = problem or "lies outside the archive"
    if problem:
        return Reason.BAD_MEMBER, problem
    if place.size > _RATIO_FLOOR and place.size > place.packed * limits.ratio:
        return Reason.ARCHIVE_BOMB, f"{place.packed} bytes unpack to {place.size} (limits.ratio)"
    if place.packed > limits.member_bytes:
        return Reason.TOO_MANY_BYTES, f"{place.packed} packed bytes, of at most {limits.member_bytes}"
    return None, ""


def _overlapping(found: list[Member], end: int) -> set[int]:
    """Return the numbers of members that begin before the end of a preceding member."""
    overlapping = set()
    free = 0
    readable = (number for number, member in enumerate(found) if member.reason is None)
    for number in sorted(readable, key=lambda number: (found[number].place.at, number)):
        place = found[number].place
        if place.at < free:
            overlapping.add(number)
        else:
            free = min(end, place.at + _LOCAL.size + place.packed)
    return overlapping


def _extra_fields(extra: bytes) -> dict[int, bytes]:
    """Return extra fields by number, up to the first malformed field."""
    fields: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        number, length = struct.unpack_from("<2H", extra, at)
        at += 4
        if at + length > len(extra):
            break
        fields.setdefault(number, extra[at : at + length])
        at += length
    return fields


def _decode(raw: bytes, flags: int, fields: dict[int, bytes]) -> str:
    """Decode a name: declared UTF-8, else valid UTF-8 (written by macOS), else undeclared."""
    if flags & _UTF8:
        return raw.decode("utf-8", "surrogateescape")
    unicode_path = fields.get(0x7075, b"")
    if len(unicode_path) > 5 and int.from_bytes(unicode_path[1:5], "little") == zlib.crc32(raw):
        return unicode_path[5:].decode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return _Undeclared(raw.decode("latin-1"))


class _Undeclared(str):
    """A name with an unknown encoding: its bytes as Latin-1 characters."""

    __slots__ = ()


def _decode_names(found: list[Member], declared: str | None) -> None:
    """Decode all undeclared names of an archive with one encoding."""
    raw = {
        at: member.name.encode("latin-1")
        for at, member in enumerate(found)
        if isinstance(member.name, _Undeclared)
    }
    encoding = declared or _guess_encoding(raw.values())
    if raw and not declared and encoding != ENCODINGS[0]:
        log.warning("names in a zip declare no encoding; they are read as %s (`names` sets it)", encoding)
    for at, name in raw.items():
        found[at] = found[at]._replace(name=name.decode(encoding, "surrogateescape"))


def _guess_encoding(names: Collection[bytes]) -> str:
    """Return the first of ENCODINGS in which all names use one alphabet, else the format's encoding."""
    joined = b"".join(names)
    for encoding in ENCODINGS:
        try:
            text = joined.decode(encoding)
        except UnicodeDecodeError:
            continue
        if _LATIN.fullmatch(text) or _CYRILLIC.fullmatch(text):
            return encoding
    return ENCODINGS[0]
