"""Writes the tars of segments and shards: plain ustar members that depend only on name and content.

Format: POSIX.1-1988 ustar; mode 0644, owner 0, time 0.
"""

from __future__ import annotations

BLOCK = 512
END_OF_ARCHIVE = bytes(2 * BLOCK)

_MAX_NAME = 100
_MAX_SIZE = 8**11 - 1
_BEFORE_SIZE = b"0000644\0" + b"0000000\0" + b"0000000\0"
_TIME = b"00000000000\0"
_AFTER_CHECKSUM = b"0" + bytes(100) + b"ustar\x0000" + bytes(247)
_CONSTANT_SUM = sum(_BEFORE_SIZE) + sum(_TIME) + sum(_AFTER_CHECKSUM) + 8 * ord(" ")


def header(name: str, size: int) -> bytes:
    """Return the 512-byte header of a regular file of `size` bytes; ValueError if impossible in ustar."""
    encoded = name.encode("ascii")
    if not encoded or len(encoded) > _MAX_NAME or size > _MAX_SIZE:
        raise ValueError(f"no plain ustar header for {name!r} of {size} bytes")
    octal = b"%011o\0" % size
    checksum = _CONSTANT_SUM + sum(encoded) + sum(octal)
    return b"".join(
        (encoded.ljust(_MAX_NAME, b"\0"), _BEFORE_SIZE, octal, _TIME, b"%06o\0 " % checksum, _AFTER_CHECKSUM)
    )


def member_size(header: bytes) -> int:
    """Return the size in a header written by `header`."""
    return int(header[124:135], 8)


def padding(size: int) -> bytes:
    """Return the zero bytes between a member of `size` bytes and the next header."""
    return bytes(-size % BLOCK)
