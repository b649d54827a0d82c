"""Takes the embedded JPEG of a page that is nothing but a scan; all else is left to a renderer."""

from __future__ import annotations

import ctypes
import mmap
import re
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from ...catalog.models import Rejected
from .. import icc, jpeg
from .inspection import Drawn, Inspection, filters, pixel_size, raw_stream
from .pdf_options import PdfOptions

DPI_TOLERANCE = 0.05
"""How far a scan may be from the wanted resolution and still stand for it."""

SQUARE_TOLERANCE = 0.02
"""How far its horizontal and vertical resolution may differ."""

EDGE_TOLERANCE = 1.0
"""Points (1/72 inch) by which a scan's edges may miss the page's."""

_UPRIGHT_TOLERANCE = 1e-3

_DEVICE_COLORS = {raw.FPDF_COLORSPACE_DEVICEGRAY: 1, raw.FPDF_COLORSPACE_DEVICERGB: 3}
"""Components of a JPEG in the color spaces whose numbers are shown as they are."""

_STREAM = re.compile(rb"stream\r?\n")
_CHANGES_PIXELS = re.compile(
    rb"/(?:SMask|Mask|ImageMask|OC|SMaskInData|Matte)\b"
    rb"|/(?:DecodeParms|DP)\s*\[?\s*\d"  # a reference: what it asks for stands elsewhere
    rb"|/ColorTransform\b(?!\s+1\b)|#"
)
_DECODE = re.compile(rb"/Decode\s*\[([^\]]*)\]|/Decode\b")
_DICTIONARY_BYTES = 4096  # an image's dictionary is shorter, on either side of the name of its filter


class Scans:
    """The JPEGs in one document's file, and the dictionaries that determine what a viewer does to them.

    A viewer applies masks and inverted levels, which pdfium does not report; so the dictionaries are
    looked up in the file, where they stand as plain text in front of the bytes. (Streams are never packed
    into other streams: ISO 32000-1, 7.5.7.)
    """

    def __init__(self, path: Path) -> None:
        self._handle = path.open("rb")
        self.file = mmap.mmap(self._handle.fileno(), 0, access=mmap.ACCESS_READ)
        self._found: list[tuple[int, bytes]] | None = None

    def close(self) -> None:
        """Release the file."""
        self.file.close()
        self._handle.close()

    def embedded(self, page: pdfium.PdfPage, found: Inspection, options: PdfOptions) -> bytes | None:
        """The JPEG that stands for the page, untouched; None if the page has to be rendered."""
        image = found.sole_image
        if image is None or found.native_dpi is None or filters(image.handle) != ["DCTDecode"]:
            return None
        data = raw_stream(image.handle)
        parsed = _parse(data)
        if (
            options.extract == "never"
            or parsed is None
            or not _fits(found.native_dpi, options)
            or not _fills(page, image)
            or not _shown_as_coded(page, image.handle, parsed)
            or not self._is_plain(data)
        ):
            return None
        return data

    def _is_plain(self, data: bytes) -> bool:
        """Whether every dictionary in front of these bytes asks for nothing but to show them."""
        texts = [
            text
            for start, text in self._jpegs()
            if self.file[start : start + 64] == data[:64] and self.file[start : start + len(data)] == data
        ]
        return bool(texts) and all(map(_asks_for_nothing, texts))

    def _jpegs(self) -> list[tuple[int, bytes]]:
        """Where each JPEG in the file starts, and its dictionary; looked for once, when first needed."""
        if self._found is None:
            self._found = []
            at = self.file.find(b"/DCTDecode")
            while at >= 0:
                before = self.file[max(0, at - _DICTIONARY_BYTES) : at].rpartition(b"obj")[2]
                after = self.file[at : at + _DICTIONARY_BYTES]
                match = _STREAM.search(after)
                if match is not None:
                    self._found.append((at + match.end(), before + after[: match.start()]))
                at = self.file.find(b"/DCTDecode", at + 1)
        return self._found


def _parse(data: bytes) -> jpeg.Jpeg | None:
    """The scan taken apart; None if it is damaged or odd, so that drawing it decides."""
    try:
        return jpeg.parse(data)
    except Rejected:
        return None


def _asks_for_nothing(dictionary: bytes) -> bool:
    if _CHANGES_PIXELS.search(dictionary):
        return False
    levels = _DECODE.search(dictionary)
    return levels is None or (levels[1] is not None and _are_default(levels[1].split()))


def _fits(dpi: tuple[float, float], options: PdfOptions) -> bool:
    across, down = dpi
    if not across or not down or abs(across / down - 1) > SQUARE_TOLERANCE:
        return False
    if options.extract == "native":
        return True
    return all(abs(value / options.dpi - 1) <= DPI_TOLERANCE for value in dpi)


def _fills(page: pdfium.PdfPage, image: Drawn) -> bool:
    """Whether the image lies upright and exactly over the page as it is shown, and whole."""
    matrix = image.matrix
    if page.get_rotation() or matrix.a <= 0 or matrix.d <= 0:
        return False
    if max(abs(matrix.b) / matrix.d, abs(matrix.c) / matrix.a) > _UPRIGHT_TOLERANCE:
        return False
    bounds = raw.FS_RECTF()  # with boxes that the page inherits, which pypdfium2's methods leave out
    raw.FPDF_GetPageBoundingBox(page, bounds)
    shown = (bounds.left, bounds.bottom, bounds.right, bounds.top)
    box = (matrix.e, matrix.f, matrix.e + matrix.a, matrix.f + matrix.d)
    if any(abs(edge - wanted) > EDGE_TOLERANCE for edge, wanted in zip(box, shown, strict=True)):
        return False
    if raw.FPDFPageObj_HasTransparency(image.handle) or _is_optional(image.handle):
        return False
    return _clips_nothing(image.handle, shown)


def _is_optional(handle: Any) -> bool:
    """Whether the image lies in marked content, which may be a layer that is switched off."""
    return bool(raw.FPDFPageObj_CountMarks(handle))


def _clips_nothing(handle: Any, shown: tuple[float, float, float, float]) -> bool:
    """Whether each clipping path is a rectangle around all that is shown."""
    clip = raw.FPDFPageObj_GetClipPath(handle)
    for path in range(max(0, raw.FPDFClipPath_CountPaths(clip)) if clip else 0):
        xs, ys = [], []
        for index in range(raw.FPDFClipPath_CountPathSegments(clip, path)):
            segment = raw.FPDFClipPath_GetPathSegment(clip, path, index)
            if raw.FPDFPathSegment_GetType(segment) == raw.FPDF_SEGMENT_BEZIERTO:
                return False
            x, y = raw.c_float(), raw.c_float()
            raw.FPDFPathSegment_GetPoint(segment, x, y)
            xs.append(x.value)
            ys.append(y.value)
        corners = {(x, y) for x, y in zip(xs, ys, strict=True)}
        if not corners or corners != {(x, y) for x in set(xs) for y in set(ys)} or len(corners) != 4:
            return False
        edges = (
            zip((min(xs), min(ys)), shown[:2], strict=True),
            zip(shown[2:], (max(xs), max(ys)), strict=True),
        )
        if any(low - high > EDGE_TOLERANCE for pairs in edges for low, high in pairs):
            return False
    return True


def _are_default(levels: list[bytes]) -> bool:
    return all(float(level) == index % 2 for index, level in enumerate(levels))


def _shown_as_coded(page: pdfium.PdfPage, handle: Any, parsed: jpeg.Jpeg) -> bool:
    """Whether the JPEG shows by itself what the page shows.

    PDF ignores Exif and profiles inside a JPEG: a page shows its samples upright as coded, in the color space
    that the PDF gives. pdfium resolves defaults (DefaultRGB) and passes on the profile of that space.
    """
    if not parsed.conforming or (parsed.width, parsed.height) != pixel_size(handle):
        return False
    mode = "L" if parsed.components == 1 else "RGB"
    if parsed.profile is not None and not _is_srgb(parsed.profile, mode):
        return False
    facts = raw.FPDF_IMAGEOBJ_METADATA()
    if not raw.FPDFImageObj_GetImageMetadata(handle, page, facts):
        return False
    if facts.colorspace == raw.FPDF_COLORSPACE_ICCBASED:
        return _is_srgb(_profile(page, handle), mode)
    return _DEVICE_COLORS.get(facts.colorspace) == parsed.components


def _profile(page: pdfium.PdfPage, handle: Any) -> bytes:
    size = ctypes.c_size_t()
    raw.FPDFImageObj_GetIccProfileDataDecoded(handle, page, None, 0, size)
    buffer = (ctypes.c_uint8 * size.value)()
    raw.FPDFImageObj_GetIccProfileDataDecoded(handle, page, buffer, size.value, size)
    return bytes(buffer)


def _is_srgb(profile: bytes, mode: str) -> bool:
    try:
        found = icc.load(profile)
    except icc.UnusableProfile:
        return False
    return found.mode == mode and found.is_srgb
