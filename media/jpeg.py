"""JPEG files at the level of markers: the header's values, and the same image without its metadata.

Markers are those of ISO/IEC 10918-1 (ITU-T T.81), Annex B; JFIF is ITU-T T.871, Exif is CIPA DC-008.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import simplejpeg
from PIL import Image

from ..catalog.models import Rejected
from ..catalog.status import Reason
from . import exif as exif_data

START = b"\xff\xd8\xff"
"""The first bytes of every JPEG file: the start marker and the first byte of the next one."""

# The literal first byte lets `re` run at the speed of memchr. In coded data 0xff is followed by a
# stuffed zero or by a restart marker (d0-d7); anything else, fill bytes aside, ends the scan.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")

_NEVER = 16
"""Bits left of a coefficient that no scan has sent."""

_WARNING = re.compile(
    r"Corrupt JPEG data|Premature end|Invalid SOS|Inconsistent progression|Unknown Adobe|Warning:"
)
"""How warnings of libjpeg begin. All other messages are errors."""

_END = b"\xff\xd9"
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")

_EOI, _SOI, _SOS, _COM, _TEM = 0xD9, 0xD8, 0xDA, 0xFE, 0x01
_APPLICATION = range(0xE0, 0xF0)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_COMMON_PROCESSES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended sequential, progressive; Huffman coded
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ICC = b"ICC_PROFILE\0"
_RESERVED = frozenset([*range(0x02, 0xC0), 0xC8, 0xDE, 0xDF, *range(0xF0, 0xFE)])
"""Markers that end libjpeg's decoding, wherever it meets them."""

_KEPT = {0xE0: (b"JFIF\0", 14), 0xE2: (_ICC, 15), 0xEE: (b"Adobe", 12)}
"""Application segments that stay: how they begin, and the bytes below which libjpeg ignores them."""


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A JPEG file taken apart.

    `width` and `height` are in pixels as coded, before `orientation` (1 to 8, as in Exif) is applied.
    `profile` are the bytes of its ICC profile, b"" if parts of it are missing. `data` is the file with
    nothing in it but what decoding needs: its coded data are untouched.
    """

    width: int
    height: int
    components: int
    precision: int
    process: int
    orientation: int
    profile: bytes | None
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


def parse(data: bytes, *, keep_profile: bool = True) -> Jpeg:
    """Take a JPEG file apart; nothing is decoded.

    Comments, Exif, XMP, thumbnails, further images and whatever follows the end marker are left out
    of the result; JFIF, ICC profiles (with `keep_profile`) and Adobe's color marker stay. When there is
    nothing to leave out, `data` is returned itself, not a copy. Raises Rejected (`truncated`, `corrupt`).
    """
    kept: list[bytes] = []  # whole segments to write, each with its marker
    start = 0  # of the run of bytes that is kept as it stands
    position = 2
    frame: tuple[int, int, int, int, int] | None = None
    exif = b""
    profile: dict[int, bytes] = {}
    parts = 0
    coverage: dict[int, list[int]] = {}
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
        if code in _RESERVED:
            raise Rejected(Reason.CORRUPT, f"the JPEG holds the reserved marker {code:#04x}")
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
            _note_scan(data[position + 4 : end], coverage, progressive=frame and frame[0] in _PROGRESSIVE)
            end = match.start()
        elif code in _FRAMES:
            if frame:
                raise Rejected(Reason.CORRUPT, "the JPEG has two frame headers")
            frame = _frame(code, data[position + 4 : end])
        elif code in _APPLICATION or code == _COM:
            body = data[position + 4 : end]
            start_of_kept, least = _KEPT.get(code, (b"", 0))
            keeps = code in _KEPT and body.startswith(start_of_kept) and len(body) >= least
            jfif = code == 0xE0 and keeps
            if code == 0xE1 and body.startswith(b"Exif\0") and not exif:
                exif = body
            if code == 0xE2 and keeps:
                profile.setdefault(body[12], body[14:])
                parts = body[13]
            if jfif and not has_jfif and len(body) > 14:  # it carries a thumbnail
                kept += [data[start:position], b"\xff\xe0\0\x10", body[:12], b"\0\0"]
                start = end
            elif not keeps or (jfif and has_jfif) or (code == 0xE2 and not keep_profile):
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
    if len(coverage) < components or any(map(any, coverage.values())):
        raise Rejected(Reason.TRUNCATED, "scans of the JPEG are missing")
    icc = None
    if profile:
        icc = b"".join(profile.get(number, b"") for number in range(1, parts + 1))
        icc = icc if len(profile) == parts else b""
    orientation = exif_data.orientation(exif[6:])
    return Jpeg(width, height, components, precision, process, orientation, icc, data)


def _note_scan(header: bytes, coverage: dict[int, list[int]], *, progressive: bool | None) -> None:
    """Note a scan's components and, if it is progressive, the bits of coefficients left to later scans."""
    count = header[0] if header else 0
    if len(header) < 4 + 2 * count:
        raise Rejected(Reason.CORRUPT, "a scan header of the JPEG is too short")
    first, last, bits = header[1 + 2 * count : 4 + 2 * count]
    for index in range(count):
        left = coverage.setdefault(header[1 + 2 * index], [_NEVER] * 64 if progressive else [])
        if not progressive:
            continue
        for coefficient in range(first, min(last, 63) + 1):
            left[coefficient] = bits & 15


def _frame(code: int, body: bytes) -> tuple[int, int, int, int, int]:
    if len(body) < 6:
        raise Rejected(Reason.CORRUPT, "the JPEG's frame header is too short")
    precision, height, width, components = struct.unpack_from(">BHHB", body)
    if not width or not height:
        raise Rejected(Reason.CORRUPT, f"the JPEG declares {width}x{height} pixels")
    return code, precision, height, width, components


def coarse_luma(parsed: Jpeg, least: int) -> tuple[Image.Image, tuple[int, int, float, float]]:
    """The luma of an 8-bit JPEG, up to eight times smaller, and the part of it that the image covers.

    All coefficients are decoded, at twice the speed of a full decode: only the inverse transform is cut
    short. Sides keep at least `least` pixels if they have them. Raises Rejected (`truncated`, `corrupt`)
    where the decoder finds the coded data damaged: Pillow does not pass on what libjpeg warns of. Of a
    CMYK image the first channel is returned.
    """
    width, height = parsed.width, parsed.height
    highest = min(width // max(width // 8, least), height // max(height // 8, least))
    scale = next((factor for factor in (8, 4, 2) if highest >= factor), 1)
    size = (-(-width // scale), -(-height // scale))
    settings = {
        "colorspace": "CMYK" if parsed.components == 4 else "GRAY",
        "min_height": size[1],
        "min_width": size[0],
        "min_factor": 1,
    }
    try:
        pixels = simplejpeg.decode_jpeg(parsed.data, **settings)
    except ValueError as error:
        reason = _damage(str(error), parsed.data)
        if reason is not None:
            raise Rejected(reason, f"image/jpeg: {error}") from error
        if not _WARNING.match(str(error)):  # TurboJPEG knows fewer samplings of components than libjpeg
            luma = Image.new("L", size, None)
            luma.frombytes(parsed.data, "jpeg", "L", "", scale, 0)  # raises ValueError for libjpeg's errors
            return luma, (0, 0, width / scale, height / scale)
        pixels = simplejpeg.decode_jpeg(parsed.data, strict=False, **settings)  # it passes over errors, too
    luma = Image.fromarray(pixels[:, :, 0])
    return luma, (0, 0, width / scale, height / scale)


def _damage(warning: str, data: bytes) -> Reason | None:
    """The reason for one of libjpeg's warnings; None if the pixels are sound."""
    extraneous = _EXTRANEOUS.search(warning)
    if extraneous:  # zeros in front of the end marker are padding; anything else is a scan out of step
        tail = data[: -len(_END)][-int(extraneous[1]) :]
        return Reason.CORRUPT if tail.strip(b"\0\xff") else None
    if "remature end" in warning:
        return Reason.TRUNCATED
    if "bad ICC marker" in warning or not warning.startswith("Corrupt"):
        return None
    return Reason.CORRUPT
