"""JPEG files at the level of markers: what the header says, and the same image without its metadata.

Markers are those of ISO/IEC 10918-1 (ITU-T T.81), Annex B; JFIF is ITU-T T.871, Exif is CIPA DC-008.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from ..catalog.models import Rejected
from ..catalog.status import Reason

START = b"\xff\xd8\xff"
"""The first bytes of every JPEG file: the start marker and the first byte of the next one."""

# The literal first byte lets `re` run at the speed of memchr. In coded data 0xff is followed by a
# stuffed zero or by a restart marker (d0-d7); anything else, fill bytes aside, ends the scan.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")

_EOI, _SOI, _SOS, _COM, _TEM = 0xD9, 0xD8, 0xDA, 0xFE, 0x01
_APPLICATION = range(0xE0, 0xF0)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_COMMON_PROCESSES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended sequential, progressive; Huffman coded
_KEPT = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A JPEG file taken apart.

    `width` and `height` are in pixels as coded, before `orientation` (1 to 8, as in Exif) is applied.
    `data` is the file with nothing in it but what decoding needs: its coded data are untouched.
    """

    width: int
    height: int
    components: int
    precision: int
    process: int
    orientation: int
    data: bytes

    @property
    def conforming(self) -> bool:
        """Whether `data` may stand in a corpus as it is: upright, 8 bits, gray or color, read by all."""
        return (
            self.orientation == 1
            and self.components in (1, 3)
            and self.precision == 8
            and self.process in _COMMON_PROCESSES
        )


def parse(data: bytes) -> Jpeg:
    """Take a JPEG file apart; nothing is decoded.

    Comments, Exif, XMP, thumbnails, further images and whatever follows the end marker are left out
    of the result; JFIF, ICC profiles and Adobe's color marker stay. When there is nothing to leave
    out, `data` is returned itself, not a copy. Raises Rejected (`truncated`, `corrupt`).
    """
    kept: list[bytes] = []  # whole segments to write, each with its marker
    start = 0  # of the run of bytes that is kept as it stands
    position = 2
    frame: tuple[int, int, int, int, int] | None = None
    exif = b""
    has_jfif = has_scan = False
    size = len(data)
    while True:
        if not _MARKER.match(data, position):  # fill bytes, or rubbish between two segments
            match = _MARKER.search(data, position)
            if match is None:
                raise Rejected(Reason.TRUNCATED, "the JPEG ends without its end marker")
            kept.append(data[start:position])
            start = position = match.start()
        code = data[position + 1]
        if code == _EOI:
            break
        if code == _SOI:
            raise Rejected(Reason.CORRUPT, "a second JPEG starts inside the first")
        if code == _TEM:  # it means nothing, and Pillow does not know it
            kept.append(data[start:position])
            position += 2
            start = position
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if end > size or end < position + 4:
            raise Rejected(Reason.TRUNCATED, f"the JPEG ends inside its segment {code:#04x}")
        if code == _SOS:
            match = _MARKER.search(data, end)
            if match is None:
                raise Rejected(Reason.TRUNCATED, "the JPEG ends inside its coded data")
            if match.start() == end:
                raise Rejected(Reason.TRUNCATED, "a scan of the JPEG holds no data")
            has_scan = True
            end = match.start()
        elif code in _FRAMES:
            if frame:
                raise Rejected(Reason.CORRUPT, "the JPEG has two frame headers")
            frame = _frame(code, data[position + 4 : end])
        elif code in _APPLICATION or code == _COM:
            body = data[position + 4 : end]
            jfif = code == 0xE0 and body.startswith(_KEPT[0xE0])
            if code == 0xE1 and body.startswith(b"Exif\0") and not exif:
                exif = body
            if jfif and not has_jfif and len(body) > 14:  # it carries a thumbnail
                kept += [data[start:position], b"\xff\xe0\0\x10", body[:12], b"\0\0"]
                start = end
            elif code not in _KEPT or not body.startswith(_KEPT[code]) or (jfif and has_jfif):
                kept.append(data[start:position])
                start = end
            has_jfif = has_jfif or jfif
        position = end
    if frame is None or not has_scan:
        raise Rejected(Reason.CORRUPT, "the JPEG holds no image")
    if kept or position + 2 < size:
        kept.append(data[start : position + 2])
        data = b"".join(kept)
    process, precision, height, width, components = frame
    return Jpeg(width, height, components, precision, process, exif_orientation(exif[6:]), data)


def _frame(code: int, body: bytes) -> tuple[int, int, int, int, int]:
    if len(body) < 6:
        raise Rejected(Reason.CORRUPT, "the JPEG's frame header is too short")
    precision, height, width, components = struct.unpack_from(">BHHB", body)
    if not width or not height:
        raise Rejected(Reason.CORRUPT, f"the JPEG declares {width}x{height} pixels")
    return code, precision, height, width, components


def exif_orientation(tiff: bytes) -> int:
    """The orientation, 1 to 8, that Exif data (from their TIFF header on) give; 1 if they give none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for number in range(entries):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, directory + 2 + 12 * number)
            if tag == 0x0112:
                return value if kind == 3 and 1 <= value <= 8 else 1
    except struct.error:  # damaged metadata say nothing, and cost the image nothing
        return 1
    return 1
