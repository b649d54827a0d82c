"""PNG files at the level of chunks: whole or not, and the same image without its metadata.

Chunks are those of the PNG specification (W3C, third edition), sections 5 and 11.
"""

from __future__ import annotations

import zlib

from ..catalog.models import Rejected
from ..catalog.status import Reason

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_NEEDED = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"eXIf"})


def clean(data: bytes) -> bytes:
    """The PNG without text, times, later frames and whatever follows its end.

    Checks what a decoder does not: that the end is there, and the checksums of all that is kept.
    Raises Rejected (`truncated`, `corrupt`).
    """
    kept = [SIGNATURE]
    position = len(SIGNATURE)
    while True:
        if position + 12 > len(data):
            raise Rejected(Reason.TRUNCATED, "the PNG ends without its end chunk")
        length = int.from_bytes(data[position : position + 4], "big")
        name = data[position + 4 : position + 8]
        end = position + 12 + length
        if not name.isalpha():
            raise Rejected(Reason.CORRUPT, f"there is no chunk where one should start, at byte {position}")
        if end > len(data):
            raise Rejected(Reason.TRUNCATED, f"the PNG ends inside its chunk {name.decode('ascii')}")
        if name in _NEEDED:
            chunk = data[position:end]
            if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
                raise Rejected(Reason.CORRUPT, f"wrong checksum in chunk {name.decode('ascii')}")
            kept.append(chunk)
        if name == b"IEND":
            return b"".join(kept)
        position = end
