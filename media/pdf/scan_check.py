"""Whether the image that makes up a page is whole: renderers draw a damaged one mostly white."""

from __future__ import annotations

from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from ...catalog.models import Rejected
from ...catalog.status import Reason
from .. import jpeg
from .inspection import filters, pixel_size, raw_stream

_CODE_STREAM = b"\xff\x4f\xff\x51"
_TILE_PART, _END = b"\xff\x90", b"\xff\xd9"
_UNKNOWN = 0xFFFFFFFF
_SEGMENT_TYPES = frozenset({0, 4, 6, 7, 16, 20, 22, 23, 36, 38, 39, 40, 42, 43, 48, 49, 50, 51, 52, 53, 62})


def check_scan(page: pdfium.PdfPage, handle: Any) -> None:
    """Raise Rejected (`page_damaged`) if the image's data are cut or garbage.

    JPEG is decoded, Flate unpacked; of JPEG 2000 and JBIG2 the structure is followed. CCITT data have none:
    of those poppler reports damage when it draws them.
    """
    encoding = (filters(handle) or [""])[-1]
    found = None
    if encoding == "DCTDecode":
        if len(filters(handle)) == 1:
            check_jpeg(raw_stream(handle))
    elif encoding == "JPXDecode":
        found = _jpx_damage(raw_stream(handle))
    elif encoding == "JBIG2Decode":
        found = _jbig2_damage(raw_stream(handle))
    elif encoding in ("FlateDecode", "LZWDecode", "RunLengthDecode", ""):
        found = _raw_damage(page, handle)
    if found:
        raise Rejected(Reason.PAGE_DAMAGED, f"the page's scan: {found}")


def check_jpeg(data: bytes) -> jpeg.Jpeg | None:
    """The scan's JPEG taken apart; None if it lacks only its end marker; Rejected (`page_damaged`)."""
    parsed: jpeg.Jpeg | None = None
    try:
        try:
            parsed = whole = jpeg.parse(data)
        except Rejected:
            whole = jpeg.parse(data.rstrip(b"\0\r\n ") + _END)
        if whole.precision == 8:
            jpeg.coarse_luma(whole, 1)
    except Rejected as rejection:
        raise Rejected(Reason.PAGE_DAMAGED, f"the page's scan: {rejection.detail}") from rejection
    except (ValueError, OSError):  # of a kind that is not decoded here; a renderer may
        return None
    return parsed


def _raw_damage(page: pdfium.PdfPage, handle: Any) -> str:
    facts = raw.FPDF_IMAGEOBJ_METADATA()
    if not raw.FPDFImageObj_GetImageMetadata(handle, page, facts) or not facts.bits_per_pixel:
        return ""
    width, height = pixel_size(handle)
    row = (width * facts.bits_per_pixel + 7) // 8
    unpacked = raw.FPDFImageObj_GetImageDataDecoded(handle, None, 0)
    return f"{unpacked:,} of {row * height:,} bytes" if unpacked <= row * (height - 1) else ""


def _jpx_damage(data: bytes) -> str:
    """Whether tile-parts are missing or cut (ISO/IEC 15444-1, A.4.2)."""
    at = data.find(_CODE_STREAM)
    if at < 0:
        return "no JPEG 2000 code stream"
    at += 2
    while data[at : at + 2] != _TILE_PART:
        if at + 4 > len(data) or data[at] != 0xFF:
            return "the JPEG 2000 header is damaged"
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    while data[at : at + 2] == _TILE_PART:
        length = int.from_bytes(data[at + 6 : at + 10], "big")
        if not length:  # up to the end
            return "" if _END in data[-16:] else "the JPEG 2000 data are cut"
        at += length
    return "" if at <= len(data) else "the JPEG 2000 data are cut"


def _jbig2_damage(data: bytes) -> str:
    """Whether segments follow each other up to the end (ISO/IEC 14492, 7.2)."""
    at = 0
    while at + 11 <= len(data):
        number = int.from_bytes(data[at : at + 4], "big")
        flags, referred = data[at + 4], data[at + 5] >> 5
        at += 5
        if referred == 7:
            referred = int.from_bytes(data[at : at + 4], "big") & 0x1FFFFFFF
            at += 4 + (referred + 8) // 8
        else:
            at += 1
        at += referred * (1 if number <= 256 else 2 if number <= 65536 else 4) + (4 if flags & 0x40 else 1)
        if flags & 0x3F not in _SEGMENT_TYPES or at + 4 > len(data):
            return "damaged JBIG2 segments"
        length = int.from_bytes(data[at : at + 4], "big")
        at += 4
        if length == _UNKNOWN:
            return ""
        at += length
    return "" if at <= len(data) + 2 else "the JBIG2 data are cut"
