"""What a page is made of: whether it is gray, whether it is just a scan, which text lies in it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import pypdfium2 as pdfium
import pypdfium2.raw as raw
from PIL import Image, ImageChops

from ...catalog.models import clean_text
from .document import POINTS_PER_INCH

MARKS_LOOKED_AT = 2000
"""Pages of more objects that leave marks than this are judged by a small rendering alone."""

OBJECTS_LOOKED_AT = 50_000
"""The same for all objects: a scan may lie over a text layer of as many words."""

NESTING = 8
"""Forms within forms that are followed."""

SCAN_SHARE = 0.5
"""The share of a page's area from which on an image is taken for the page's scan."""

SPREAD = 8
"""Difference between the channels of a gray, in levels of 255, that conversions from CMYK leave."""

CLEAR_SPREAD = 64
"""Difference between the channels of a color that is meant, in levels of 255."""

_GRAYS = frozenset({raw.FPDF_COLORSPACE_DEVICEGRAY, raw.FPDF_COLORSPACE_CALGRAY})
_COLORS = frozenset({raw.FPDF_COLORSPACE_DEVICERGB, raw.FPDF_COLORSPACE_CALRGB, raw.FPDF_COLORSPACE_LAB})
_HIDDEN_ANNOTATION = 0x02 | 0x20  # Hidden, NoView: ISO 32000-1, table 165


class Tone(Enum):
    """Whether a page has colours, as far as its objects show."""

    GRAY = "gray"
    UNSURE = "unsure"
    COLOR = "color"


class Matrix(NamedTuple):
    """A transformation: x' = a x + c y + e, y' = b x + d y + f, in points."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float

    def within(self, outer: Matrix) -> Matrix:
        """This transformation followed by `outer`."""
        return Matrix(
            self.a * outer.a + self.b * outer.c,
            self.a * outer.b + self.b * outer.d,
            self.c * outer.a + self.d * outer.c,
            self.c * outer.b + self.d * outer.d,
            self.e * outer.a + self.f * outer.c + outer.e,
            self.e * outer.b + self.f * outer.d + outer.f,
        )


@dataclass(frozen=True, slots=True)
class Drawn:
    """An object of a page that leaves marks; `depth` is 0 outside all forms, `matrix` in the page's frame."""

    handle: Any
    kind: int
    matrix: Matrix
    depth: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a page's objects show before it is drawn.

    `sole_image` is set where an image outside all forms is the only thing that leaves marks, `scan` where
    an image covers at least half of the page. `native_dpi` is the resolution of the largest image,
    horizontal and vertical. `is_marked` is whether anything is drawn at all, `is_tinted` whether an
    annotation names a color: poppler draws more of them than pdfium.
    """

    tone: Tone
    sole_image: Drawn | None
    scan: Drawn | None
    native_dpi: tuple[float, float] | None
    is_marked: bool
    is_tinted: bool = False


def inspect(page: pdfium.PdfPage, unit: float = 1.0) -> Inspection:
    """Look at a page's objects and annotations, a unit of which is `unit` points; no image is decoded."""
    tones = {Tone.GRAY}
    drawn: list[Drawn] = []
    largest: tuple[float, tuple[float, float], Drawn] | None = None
    whole = True
    for number, thing in enumerate(_objects(page)):
        if len(drawn) > MARKS_LOOKED_AT or number > OBJECTS_LOOKED_AT:
            whole = False
            tones.add(Tone.UNSURE)
            break
        if thing is None:
            continue
        drawn.append(thing)
        if thing.kind == raw.FPDF_PAGEOBJ_IMAGE:
            area, dpi = _resolution(thing)
            if largest is None or area > largest[0]:
                largest = area, dpi, thing
            if Tone.COLOR not in tones:
                tones.add(_image_tone(page, thing.handle))
        elif Tone.COLOR not in tones:
            tones.add(_paint_tone(thing))
    annotated = _is_annotated(page)
    if annotated:
        tones.add(Tone.UNSURE)
    sole = drawn[0] if whole and len(drawn) == 1 and not annotated else None
    width, height = (side / POINTS_PER_INCH for side in page.get_size())
    covers = largest is not None and largest[0] >= SCAN_SHARE * width * height
    return Inspection(
        tone=next(tone for tone in (Tone.COLOR, Tone.UNSURE, Tone.GRAY) if tone in tones),
        sole_image=sole if sole and sole.kind == raw.FPDF_PAGEOBJ_IMAGE and sole.depth == 0 else None,
        scan=largest[2] if largest and covers else None,
        native_dpi=(largest[1][0] / unit, largest[1][1] / unit) if largest else None,
        is_marked=bool(drawn) or annotated,
        is_tinted=_is_tinted(page),
    )


def looks_gray(page: pdfium.PdfPage) -> bool:
    """Whether a small rendering of the page has no colors, for pages whose objects do not show it."""
    return color_spread(_thumbnail(page, forms=True)) <= SPREAD


def looks_colored(page: pdfium.PdfPage) -> bool:
    """Whether a small rendering has clear colors; without forms, whose text has colored fringes."""
    return color_spread(_thumbnail(page, forms=False)) > CLEAR_SPREAD


def color_spread(image: Image.Image) -> int:
    """The largest difference between the channels of a pixel, in levels of 255."""
    if image.mode == "L":
        return 0
    red, green, blue = image.convert("RGB").split()
    pairs = ((red, green), (green, blue), (red, blue))
    return max(_highest(ImageChops.difference(*pair)) for pair in pairs)


def _thumbnail(page: pdfium.PdfPage, *, forms: bool) -> Image.Image:
    width, height = page.get_size()
    scale = min(0.5, 500 / max(width, height))  # 36 DPI; no more pixels for a poster
    bitmap = page.render(scale=scale, rev_byteorder=True, may_draw_forms=forms)
    image: Image.Image = bitmap.to_pil()
    return image


def has_visible_text(page: pdfium.PdfPage) -> bool:
    """Whether a character lies on the page that would be seen: no space, not invisible, not white."""
    bounds = raw.FS_RECTF()
    raw.FPDF_GetPageBoundingBox(page, bounds)
    text = page.get_textpage()
    try:
        for index in range(min(text.count_chars(), MARKS_LOOKED_AT)):
            code = raw.FPDFText_GetUnicode(text, index)
            thing = raw.FPDFText_GetTextObject(text, index)
            if code <= 32 or code == 0xA0 or not thing:
                continue
            if raw.FPDFTextObj_GetTextRenderMode(thing) == raw.FPDF_TEXTRENDERMODE_INVISIBLE:
                continue
            left, right, bottom, top = (ctypes.c_double() for _ in range(4))
            raw.FPDFText_GetCharBox(text, index, left, right, bottom, top)
            across = min(right.value, bounds.right) - max(left.value, bounds.left)
            up = min(top.value, bounds.top) - max(bottom.value, bounds.bottom)
            red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
            raw.FPDFText_GetFillColor(text, index, red, green, blue, alpha)
            if min(across, up) > 0.5 and alpha.value > 32 and min(red.value, green.value, blue.value) < 224:
                return True
        return False
    finally:
        text.close()


def text_layer(page: pdfium.PdfPage) -> str:
    """The page's text, visible or not, in the order of the file; '' where there is none."""
    text = page.get_textpage()
    try:
        return clean_text(text.get_text_bounded()) if text.count_chars() else ""
    finally:
        text.close()


def _highest(image: Image.Image) -> int:
    extrema: Any = image.getextrema()
    return int(extrema[1])


def _objects(page: pdfium.PdfPage) -> Iterator[Drawn | None]:
    """The page's objects, those within forms too; None for each that leaves no marks."""
    identity = Matrix(1, 0, 0, 1, 0, 0)
    yield from _walk(page, raw.FPDFPage_CountObjects, raw.FPDFPage_GetObject, identity, 0)


def _walk(parent: Any, count: Any, get: Any, outer: Matrix, depth: int) -> Iterator[Drawn | None]:
    for index in range(count(parent)):
        handle = get(parent, index)
        kind = raw.FPDFPageObj_GetType(handle)
        if kind == raw.FPDF_PAGEOBJ_TEXT:
            if raw.FPDFTextObj_GetTextRenderMode(handle) == raw.FPDF_TEXTRENDERMODE_INVISIBLE:
                yield None  # the text layer of a scan
                continue
        elif kind == raw.FPDF_PAGEOBJ_PATH:
            fill, stroke = ctypes.c_int(), ctypes.c_int()
            raw.FPDFPath_GetDrawMode(handle, fill, stroke)
            if not fill.value and not stroke.value:
                yield None
                continue
        found = raw.FS_MATRIX()
        raw.FPDFPageObj_GetMatrix(handle, found)
        matrix = Matrix(found.a, found.b, found.c, found.d, found.e, found.f).within(outer)
        if kind == raw.FPDF_PAGEOBJ_FORM and depth < NESTING:
            yield None
            yield from _walk(
                handle, raw.FPDFFormObj_CountObjects, raw.FPDFFormObj_GetObject, matrix, depth + 1
            )
        else:
            yield Drawn(handle, kind, matrix, depth)


def _paint_tone(thing: Drawn) -> Tone:
    """Of text or a path. Patterns hide behind a gray, so that a gray is never more than unsure."""
    if thing.kind not in (raw.FPDF_PAGEOBJ_TEXT, raw.FPDF_PAGEOBJ_PATH):
        return Tone.UNSURE
    for ask in (raw.FPDFPageObj_GetFillColor, raw.FPDFPageObj_GetStrokeColor):
        red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
        if ask(thing.handle, red, green, blue, alpha):
            levels = (red.value, green.value, blue.value)
            if max(levels) - min(levels) > SPREAD:
                return Tone.COLOR
    return Tone.UNSURE


def _image_tone(page: pdfium.PdfPage, handle: Any) -> Tone:
    if "JPXDecode" in filters(handle):  # asking pdfium for its colour space would decode it
        return _jpx_tone(raw_stream(handle))
    facts = raw.FPDF_IMAGEOBJ_METADATA()
    if not raw.FPDFImageObj_GetImageMetadata(handle, page, facts):
        return Tone.UNSURE
    if facts.colorspace in _GRAYS:
        return Tone.GRAY
    if facts.colorspace in _COLORS:
        return Tone.COLOR
    if facts.colorspace == raw.FPDF_COLORSPACE_ICCBASED:
        return Tone.GRAY if facts.bits_per_pixel <= 8 else Tone.COLOR
    return Tone.UNSURE


def _jpx_tone(data: bytes) -> Tone:
    """By the number of components in the code stream's SIZ segment (ISO/IEC 15444-1, A.5.1)."""
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0 or b"pclr" in data[:start]:
        return Tone.UNSURE
    components = int.from_bytes(data[start + 40 : start + 42], "big")
    return Tone.GRAY if components <= 2 else Tone.COLOR


def _resolution(thing: Drawn) -> tuple[float, tuple[float, float]]:
    """Area in square points, and pixels per inch horizontally and vertically (0 if it has no extent)."""
    width, height = pixel_size(thing.handle)
    matrix = thing.matrix
    across = (matrix.a**2 + matrix.b**2) ** 0.5 / POINTS_PER_INCH
    down = (matrix.c**2 + matrix.d**2) ** 0.5 / POINTS_PER_INCH
    return across * down, (width / across if across else 0.0, height / down if down else 0.0)


def _is_annotated(page: pdfium.PdfPage) -> bool:
    """Whether anything but links is laid over the page: stamps, highlights, filled-in fields."""
    for index in range(raw.FPDFPage_GetAnnotCount(page)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        kind, flags = raw.FPDFAnnot_GetSubtype(annotation), raw.FPDFAnnot_GetFlags(annotation)
        raw.FPDFPage_CloseAnnot(annotation)
        if kind not in (raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP) and not flags & _HIDDEN_ANNOTATION:
            return True
    return False


def _is_tinted(page: pdfium.PdfPage) -> bool:
    """Whether an annotation names a color, such as that of a link's border."""
    for index in range(raw.FPDFPage_GetAnnotCount(page)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        named = any(raw.FPDFAnnot_HasKey(annotation, key) for key in (b"C", b"IC"))
        raw.FPDFPage_CloseAnnot(annotation)
        if named:
            return True
    return False


def pixel_size(handle: Any) -> tuple[int, int]:
    """Width and height of an image object, in pixels."""
    width, height = ctypes.c_uint(), ctypes.c_uint()
    raw.FPDFImageObj_GetImagePixelSize(handle, width, height)
    return width.value, height.value


def filters(handle: Any) -> list[str]:
    """The names of an image's encodings, outermost first."""
    found = []
    for index in range(raw.FPDFImageObj_GetImageFilterCount(handle)):
        size = raw.FPDFImageObj_GetImageFilter(handle, index, None, 0)
        buffer = ctypes.create_string_buffer(size)
        raw.FPDFImageObj_GetImageFilter(handle, index, buffer, size)
        found.append(buffer.value.decode("latin-1"))
    return found


def raw_stream(handle: Any) -> bytes:
    """An image's bytes as they are embedded, decrypted but not decoded."""
    size = raw.FPDFImageObj_GetImageDataRaw(handle, None, 0)
    buffer = ctypes.create_string_buffer(size)
    raw.FPDFImageObj_GetImageDataRaw(handle, buffer, size)
    return buffer.raw[:size]
