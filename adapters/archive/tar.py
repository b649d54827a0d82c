"""Lists tars by their headers: ustar, GNU and pax, by the rules of POSIX.1-2017 and GNU tar 1.35.

The reader is safe on hostile input: every step advances by at least a block, memory is not allocated by
declared sizes, and a bad member does not affect other members. On valid tars the result equals `tarfile`'s.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ...catalog.status import Reason
from .members import ArchiveError, Member, Place
from .streams import Stream

BLOCK = 512
MAX_EXTENDED = 2**20
"""Maximum bytes of a long name or pax header; a member with a longer header is rejected."""

_ZEROS = bytes(BLOCK)
_RECORD = re.compile(rb"([1-9][0-9]{0,8}) ([^=]+)=")
_KEYS = frozenset({b"path", b"size", b"GNU.sparse.name"})
_KINDS = {
    b"1": (Reason.LINK, "a hard link"),
    b"2": (Reason.LINK, "a symbolic link"),
    b"3": (Reason.SPECIAL_FILE, "a character device"),
    b"4": (Reason.SPECIAL_FILE, "a block device"),
    b"6": (Reason.SPECIAL_FILE, "a pipe"),
    b"S": (Reason.BAD_MEMBER, "a sparse file"),
    b"M": (Reason.BAD_MEMBER, "part of a file that continues in another volume"),
    b"V": (Reason.SPECIAL_FILE, "a volume label"),
    b"D": (Reason.SPECIAL_FILE, "an incremental dump's directory"),
    b"N": (Reason.SPECIAL_FILE, "an old list of long names"),
}
_WITHOUT_DATA = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})


class _Header(NamedTuple):
    name: bytes
    size: int
    kind: bytes
    check: int
    extended: bool  # an old GNU sparse header continues in the next block


class _Extended:
    """The content of long-name and pax headers, for the member after them."""

    def __init__(self, inherited: dict[bytes, bytes]) -> None:
        self.records = dict(inherited)
        self.problem = ""

    def apply(self, header: _Header) -> tuple[bytes, int, str]:
        """Return the name and size of the member, and its problem or ''."""
        records, size, problem = self.records, header.size, self.problem
        if b"size" in records:
            digits = records[b"size"]
            if re.fullmatch(rb"[0-9]{1,19}", digits):
                size = int(digits)
            else:
                problem = problem or "a pax size that is not a number"
        if b"GNU.sparse" in records:
            problem = problem or "a sparse file"
        name = records.get(b"GNU.sparse.name", records.get(b"path", header.name))
        return name, size, problem


def members(stream: Stream, size: int | None = None) -> Iterator[Member]:
    """Yield the members of the tar in `stream`, from its start, without directories.

    Between two members, the caller may take the data of the last member from the stream. With `size`
    (of the whole tar), a truncated member is marked. ArchiveError if the tar is damaged, truncated, or
    not a tar, after all members before the damage.
    """
    everywhere: dict[bytes, bytes] = {}
    extended = _Extended(everywhere)
    first = True
    while True:
        start = stream.position
        block = stream.take(BLOCK)
        if len(block) < BLOCK or block == _ZEROS:
            _check_end(stream, start, block)
            return
        header = _parse(block)
        if header is None:
            what = "not a tar" if first else f"a damaged header at byte {start}"
            raise ArchiveError(Reason.BAD_ARCHIVE, what)
        first = False
        if header.kind in b"xXgLK":
            _extend(stream, header, extended, everywhere)
            continue
        while header.extended:
            more = stream.take(BLOCK)
            header = header._replace(extended=len(more) == BLOCK and more[504] != 0)
        name, length, problem = extended.apply(header)
        extended = _Extended(everywhere)
        begin = stream.position
        place = Place(begin, length, header.check)
        if header.kind in _WITHOUT_DATA:
            length = 0
        end = begin + length
        cut = size is not None and end > size
        if member := _member(header.kind, name, place, problem, cut):
            yield member
        gap = end + -end % BLOCK - stream.position
        # Some writers omit the padding of the last member; partial padding means a truncated tar.
        if stream.skip(gap) < gap and (cut or stream.position != end):
            raise ArchiveError(Reason.BAD_ARCHIVE, f"cut short in the member at byte {start}")


def _member(kind: bytes, name: bytes, place: Place, problem: str, cut: bool) -> Member | None:
    """Return the member of a header, or None for a directory."""
    if kind == b"5" or (kind == b"\0" and name.endswith(b"/")):  # v7 marks directories by a slash
        return None
    text = name.decode("utf-8", "surrogateescape")
    if kind in _KINDS:
        reason, detail = _KINDS[kind]
        return Member(text, place._replace(size=0), reason, detail)
    if problem:
        return Member(text, place._replace(size=0), Reason.BAD_MEMBER, problem)
    if cut:
        return Member(text, place, Reason.TRUNCATED, "the archive ends inside this member")
    return Member(text, place)


def _parse(block: bytes) -> _Header | None:
    """Return the header in `block`, or None if its checksum is wrong."""
    try:
        declared = _number(block[148:156])
        size = _number(block[124:136])
    except ValueError:
        return None
    # The low half of Adler-32 is 1 + the sum of the bytes, modulo 65521: six times faster than sum().
    spaces = 256 - sum(block[148:156]) - 1
    if ((zlib.adler32(block) & 0xFFFF) + spaces - declared) % 65521 and declared != _signed_sum(block):
        return None
    name = block[:100].split(b"\0", 1)[0]
    kind = block[156:157]
    if block[345] and block[257:263] == b"ustar\0":
        name = block[345:500].split(b"\0", 1)[0] + b"/" + name
    return _Header(name, size, kind, zlib.crc32(block), kind == b"S" and block[482] != 0)


def _signed_sum(block: bytes) -> int:
    """Return the checksum of writers that sum signed bytes."""
    counted = block[:148] + b" " * 8 + block[156:]
    return sum(counted) - 256 * sum(byte > 127 for byte in counted)


def _number(field: bytes) -> int:
    """Parse a number in octal, or in base 256 (large numbers of GNU tar and star); else ValueError."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0", 1)[0].strip(b" ")
    if digits.strip(b"01234567"):  # int() would accept signs and underscores
        raise ValueError("not a number")
    return int(digits or b"0", 8)


def _extend(stream: Stream, header: _Header, extended: _Extended, everywhere: dict[bytes, bytes]) -> None:
    """Read an extended header and add its records to `extended`."""
    padded = header.size + -header.size % BLOCK
    if header.size > MAX_EXTENDED:
        extended.problem = f"an extended header of {header.size} bytes"
        if stream.skip(padded) < padded:
            raise ArchiveError(Reason.BAD_ARCHIVE, "cut short in an extended header")
        return
    data = stream.take(padded)
    if len(data) < header.size:
        raise ArchiveError(Reason.BAD_ARCHIVE, "cut short in an extended header")
    data = data[: header.size]
    if header.kind == b"L":
        extended.records[b"path"] = data.split(b"\0", 1)[0]
    elif header.kind != b"K":
        records = _records(data)
        if records is None:
            extended.problem = "a malformed pax header"
        else:
            extended.records.update(records)
            if header.kind == b"g":
                everywhere.update(records)


def _records(data: bytes) -> dict[bytes, bytes] | None:
    """Return the used records of a pax header ('length key=value\\n'), None if malformed."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(data) and data[at]:
        match = _RECORD.match(data, at)
        if match is None:
            return None
        end = at + int(match[1])
        if not match.end() < end <= len(data) or data[end - 1] != 0x0A:
            return None
        key = match[2]
        if key.startswith(b"GNU.sparse."):
            records[b"GNU.sparse"] = b""
        if key in _KEYS:
            records[key] = data[match.end() : end - 1]
        at = end
    return records


def _check_end(stream: Stream, start: int, block: bytes) -> None:
    """Raise ArchiveError for data after the end marker or a partial header at the end."""
    if len(block) < BLOCK:
        if block.strip(b"\0"):
            raise ArchiveError(Reason.BAD_ARCHIVE, f"cut short in the header at byte {start}")
        return
    rest = stream.take(20 * BLOCK)  # writers pad to a record of twenty blocks
    if rest.strip(b"\0"):
        raise ArchiveError(Reason.BAD_ARCHIVE, f"more data after the end marker at byte {start}")
