"""The orientation in Exif data (CIPA DC-008), which are a TIFF file of their own."""

from __future__ import annotations

import struct

_ORIENTATION = 0x0112
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
"""TIFF's integer types of at most four bytes, whose value stands inside the directory entry."""


def orientation(tiff: bytes) -> int:
    """The orientation, 1 to 8, that Exif data (from their TIFF header on) give; 1 if they give none.

    The standard asks for a SHORT; cameras write other integer types, which viewers accept.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for number in range(entries):
            entry = directory + 2 + 12 * number
            tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
            if tag == _ORIENTATION:
                if kind not in _INTEGERS:
                    return 1
                (value,) = struct.unpack_from(f"{order}{_INTEGERS[kind]}", tiff, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:  # damaged metadata give no orientation; the image is intact
        return 1
    return 1
