"""Takes the embedded JPEG of a page that is nothing but a scan; all else is left to a renderer."""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from types import TracebackType
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from ...catalog.models import Rejected
from .. import jpeg
from .inspection import Drawn, Inspection, filters, pixel_size, raw_stream
from .options import PdfOptions

DPI_TOLERANCE = 0.05
"""How far a scan may be from the wanted resolution and still stand for it."""

SQUARE_TOLERANCE = 0.02
"""How far its horizontal and vertical resolution may differ."""

EDGE_TOLERANCE = 1.0
"""Points (1/72 inch) by which a scan's edges may miss the page's."""

_UPRIGHT_TOLERANCE = 1e-3

_PLAIN_COLORS = {
    # pdfium's colour space: components of a JPEG in it; None where both 1 and 3 occur
    raw.FPDF_COLORSPACE_DEVICEGRAY: 1,
    raw.FPDF_COLORSPACE_CALGRAY: 1,
    raw.FPDF_COLORSPACE_DEVICERGB: 3,
    raw.FPDF_COLORSPACE_CALRGB: 3,
    raw.FPDF_COLORSPACE_ICCBASED: None,
}

_DICTIONARY = re.compile(rb"obj\s*(<<.*>>)\s*stream\r?\n\Z", re.DOTALL)
_CHANGES_PIXELS = re.compile(rb"/(?:SMask|Mask|ImageMask|OC|ColorTransform|SMaskInData|Matte)\b|#")
_DECODE = re.compile(rb"/Decode\s*\[([^\]]*)\]|/Decode\b")
_AHEAD = 4096  # bytes in which an image's dictionary ends


class Scans:
    """The scans in one document's file.

    A renderer applies what an image's dictionary asks for (masks, inverted levels) and pdfium does not
    tell; so the dictionary is looked up in the file, where it stands as plain text in front of the bytes.
    """

    def __init__(self, path: Path) -> None:
        self._handle = path.open("rb")
        self._file = mmap.mmap(self._handle.fileno(), 0, access=mmap.ACCESS_READ)
        self._after = 0  # end of the scan found last: the next page's mostly follows it

    def __enter__(self) -> Scans:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._handle.close()

    def embedded(self, page: pdfium.PdfPage, found: Inspection, options: PdfOptions) -> bytes | None:
        """The JPEG that stands for the page, untouched; None if the page has to be rendered."""
        image = found.sole_image
        if options.extract == "never" or image is None or found.native_dpi is None:
            return None
        if not _fits(found.native_dpi, options) or not _fills(page, image):
            return None
        if filters(image.handle) != ["DCTDecode"]:
            return None
        data = raw_stream(image.handle)
        return data if _plain_jpeg(page, image.handle, data) and self._plain_dictionary(data) else None

    def _plain_dictionary(self, data: bytes) -> bool:
        start = self._locate(data)
        if start < 0:  # encrypted, or otherwise not where it seems to be
            return False
        match = _DICTIONARY.search(self._file[max(0, start - _AHEAD) : start])
        if match is None:
            return False
        text = match[1][match[1].rfind(b"obj") + 1 :]
        if _CHANGES_PIXELS.search(text):
            return False
        levels = _DECODE.search(text)
        return levels is None or (
            levels[1] is not None
            and set(levels[1].split()[::2]) == {b"0"}
            and set(levels[1].split()[1::2]) == {b"1"}
        )

    def _locate(self, data: bytes) -> int:
        """Where in the file these bytes stand; -1 if nowhere."""
        tail = data[-1024:]  # its beginning is the same in all JPEGs of a scanner
        for begin, end in ((self._after, len(self._file)), (0, self._after + len(data))):
            at = self._file.find(tail, begin, end)
            if at >= 0:
                start = at + len(tail) - len(data)
                if start >= 0 and self._file[start : start + len(data)] == data:
                    self._after = start + len(data)
                    return start
        return -1


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
    media, crop = page.get_mediabox(), page.get_cropbox()
    shown = (max(media[0], crop[0]), max(media[1], crop[1]), min(media[2], crop[2]), min(media[3], crop[3]))
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


def _plain_jpeg(page: pdfium.PdfPage, handle: Any, data: bytes) -> bool:
    """Whether the bytes are a JPEG that shows by itself what the page shows."""
    facts = raw.FPDF_IMAGEOBJ_METADATA()
    if not raw.FPDFImageObj_GetImageMetadata(handle, page, facts) or facts.colorspace not in _PLAIN_COLORS:
        return False
    try:
        parsed = jpeg.parse(data)
    except Rejected:
        return False
    # PDF knows nothing of Exif: a page is shown as coded, whatever orientation its JPEG may claim.
    return (
        parsed.conforming
        and (parsed.width, parsed.height) == pixel_size(handle)
        and _PLAIN_COLORS[facts.colorspace] in (None, parsed.components)
    )
