"""Small PDFs made for tests, and what reading all their pages gives."""

from __future__ import annotations

import hashlib
import io
import shutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from derlem.catalog.models import Failure, Item, Payload
from derlem.catalog.status import Reason

POPPLER = shutil.which("pdftocairo") is not None and shutil.which("pdfinfo") is not None
needs_poppler = pytest.mark.skipif(not POPPLER, reason="poppler (pdftocairo, pdfinfo) is not installed")
Renderer = Literal["pdf2image", "pdfium"]
RENDERERS = [pytest.param("pdf2image", marks=needs_poppler), "pdfium"]

GRAY_TEXT = b"BT /F 12 Tf 20 100 Td (Ikdam 1908) Tj ET 0.5 g 10 10 50 5 re f"
RED_TEXT = b"1 0 0 rg BT /F 12 Tf 20 100 Td (Ikdam 1908) Tj ET"


def sha256(result: Payload | Failure) -> str:
    assert isinstance(result, Payload), result
    return hashlib.sha256(result.data).hexdigest()


def reason_of(result: Payload | Failure) -> Reason:
    assert isinstance(result, Failure), result
    return result.reason


def stream(entries: bytes, data: bytes) -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(data), data)


@dataclass
class Page:
    """A page to write: its size in points, its content, and what the content names."""

    width: float = 144
    height: float = 216
    content: bytes = b""
    entries: bytes = b""  # more of the page's own dictionary
    resources: bytes = b"/Font<</F 3 0 R>>"  # a base font is object 3 of every document
    objects: list[bytes] = field(default_factory=list)  # {0}, {1}, ... in the above are their numbers
    missing: bool = False  # the page's object is not there

    @classmethod
    def scan(
        cls, jpeg: bytes, dpi: float = 300, image: bytes = b"/ColorSpace/DeviceGray", **more: Any
    ) -> Page:
        """One image over the whole page."""
        columns, rows = Image.open(io.BytesIO(jpeg)).size
        width, height = columns * 72 / dpi, rows * 72 / dpi
        entries = b"/Type/XObject/Subtype/Image/Width %d/Height %d/BitsPerComponent 8/Filter/DCTDecode" % (
            columns,
            rows,
        )
        content = b"q %f 0 0 %f 0 0 cm /I Do Q" % (width, height)
        settings = {
            "width": width,
            "height": height,
            "content": content,
            "resources": b"/XObject<</I {0} 0 R>>/Font<</F 3 0 R>>",
            "objects": [stream(entries + image, jpeg)],
        }
        return cls(**{**settings, **more})


def write_pdf(pages: Sequence[Page], trailer: bytes = b"") -> bytes:
    """A PDF of these pages."""
    objects: dict[int, bytes] = {1: b"<</Type/Catalog/Pages 2 0 R>>"}
    objects[3] = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    kids, following = [], 4
    for each in pages:
        number, contents, first = following, following + 1, following + 2
        following = first + len(each.objects)
        kids.append(b"%d 0 R" % number)

        def named(text: bytes, first: int = first, count: int = len(each.objects)) -> bytes:
            for index in range(count):
                text = text.replace(b"{%d}" % index, b"%d" % (first + index))
            return text

        if not each.missing:
            objects[number] = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %.4f %.4f]/Contents %d 0 R" % (
                each.width,
                each.height,
                contents,
            ) + b"/Resources<<%s>>%s>>" % (named(each.resources), named(each.entries))
        objects[contents] = stream(b"", each.content)
        for index, body in enumerate(each.objects):
            objects[first + index] = named(body[:400]) + body[400:]
    objects[2] = b"<</Type/Pages/Kids[%s]/Count %d>>" % (b" ".join(kids), len(kids))
    output = bytearray(b"%PDF-1.4\n")
    table = [b"0000000000 65535 f \n"]
    for number in range(1, following):
        if number in objects:
            table.append(b"%010d 00000 n \n" % len(output))
            output += b"%d 0 obj\n%s\nendobj\n" % (number, objects[number])
        else:
            table.append(b"0000000000 00001 f \n")
    start = len(output)
    output += b"xref\n0 %d\n%s" % (following, b"".join(table))
    output += b"trailer<</Root 1 0 R/Size %d%s>>\nstartxref\n%d\n%%%%EOF\n" % (following, trailer, start)
    return bytes(output)


def write_packed_pdf(page: bytes) -> bytes:
    """A PDF of one page, object 3, whose dictionaries stand in a compressed object stream."""
    bodies = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>", page]
    starts = [sum(len(body) + 1 for body in bodies[:index]) for index in range(len(bodies))]
    table = b" ".join(b"%d %d" % (index + 1, start) for index, start in enumerate(starts)) + b" "
    packed = zlib.compress(table + b" ".join(bodies))
    output = bytearray(b"%PDF-1.5\n")
    places = [b"\0\0\0\0\xff"] + [b"\2\0\0\4" + bytes([index]) for index in range(len(bodies))]
    entries = b"/Type/ObjStm/N %d/First %d/Filter/FlateDecode" % (len(bodies), len(table))
    places.append(b"\1" + len(output).to_bytes(3, "big") + b"\0")
    output += b"4 0 obj\n%s\nendobj\n" % stream(entries, packed)
    places.append(b"\1" + len(output).to_bytes(3, "big") + b"\0")
    entries = b"/Type/XRef/W[1 3 1]/Size %d/Root 1 0 R" % len(places)
    start = len(output)
    output += b"5 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (stream(entries, b"".join(places)), start)
    return bytes(output)


def scan_jpeg(columns: int = 600, rows: int = 900, mode: str = "L", seed: int = 1, **settings: Any) -> bytes:
    """A grainy image as a scanner gives it."""
    rng = np.random.default_rng(seed)
    bands = len(mode) if mode != "L" else 1
    levels = rng.normal(200, 12, (rows, columns, bands)).clip(0, 255).astype(np.uint8)
    for row in range(30, rows - 30, 40):
        levels[row : row + 14, 40:-40] = rng.integers(0, 90, (1, columns - 80, bands))
    image = Image.fromarray(levels[:, :, 0] if bands == 1 else levels, mode)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **{"quality": 80, **settings})
    return buffer.getvalue()


@dataclass
class Read:
    """A document's page items and what reading each gave, in the order of the pages."""

    items: list[Item]
    results: list[Any]  # Payload or Failure

    def facts(self, index: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = dict(self.results[index].meta["pdf"])
        return found

    def image(self, index: int = 0) -> Image.Image:
        result = self.results[index]
        assert isinstance(result, Payload), result
        return Image.open(io.BytesIO(result.data))


ReadPdf = Callable[..., Read]
"""`read(pdf, dpi=..., ...)`: expand a document and read all its pages."""
