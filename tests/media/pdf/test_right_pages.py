"""A stored page shows what the document shows; a page that cannot be shown right has a reason."""

from __future__ import annotations

import io
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from derlem.catalog.models import Failure, Item, Payload
from derlem.catalog.status import Reason
from derlem.core.workspace import Workspace
from derlem.media.image import normalize
from derlem.media.pdf import PdfOptions, expand, read_pages
from derlem.media.pdf.inspection import CLEAR_SPREAD, color_spread
from derlem.storage.cache import keep
from tests.factories.image_files import icc_profile
from tests.factories.images import pixel
from tests.factories.pdf import (
    GRAY_TEXT,
    RED_TEXT,
    RENDERERS,
    Page,
    ReadPdf,
    Renderer,
    needs_poppler,
    scan_jpeg,
    stream,
    write_pdf,
)

TOLERANCE = 6


def flat_jpeg(color: tuple[int, int, int] = (55, 13, 128), side: int = 600, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    pixels = np.full((side, side, 3), color, np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, subsampling=0, **settings)
    return buffer.getvalue()


def scan(space: bytes, *objects: bytes, jpeg: bytes | None = None, **more: Any) -> Page:
    found = Page.scan(jpeg or flat_jpeg(), image=b"/ColorSpace" + space, **more)
    found.objects += objects
    return found


def icc_object(gamma: float, primaries: str | None) -> bytes:
    return stream(b"/N %d" % (3 if primaries else 1), icc_profile(gamma, primaries))


def shown(pdf: bytes, folder: Path) -> tuple[int, ...]:
    """The color of the page's center, by pdftocairo."""
    (folder / "a.pdf").write_bytes(pdf)
    command = ["pdftocairo", "-png", "-r", "50", "-singlefile", str(folder / "a.pdf"), str(folder / "a")]
    subprocess.run(command, check=True)
    return center(Image.open(folder / "a.png"))


def center(image: Image.Image) -> tuple[int, ...]:
    found = image.convert("RGB").getpixel((image.width // 2, image.height // 2))
    assert isinstance(found, tuple)
    return tuple(map(int, found))


def stored(result: Payload | Failure) -> Image.Image:
    assert isinstance(result, Payload), result
    return Image.open(io.BytesIO(normalize(result.data).data))


CAL_RGB = (
    b"[/CalRGB<</WhitePoint[.9505 1 1.089]/Gamma[1 1 1]"
    b"/Matrix[.4124 .2126 .0193 .3576 .7152 .1192 .1805 .0722 .9505]>>]"
)
DEFAULT_RGB = b"/ColorSpace<</DefaultRGB[/ICCBased {1} 0 R]>>"
SPACES: dict[str, tuple[bytes, tuple[bytes, ...], bytes]] = {
    # the image's color space, more objects, the page's resources
    "device": (b"/DeviceRGB", (), b""),
    "linear": (b"[/ICCBased {1} 0 R]", (icc_object(1, "srgb"),), b""),
    "P3": (b"[/ICCBased {1} 0 R]", (icc_object(2.2, "p3"),), b""),
    "swapped": (b"[/ICCBased {1} 0 R]", (icc_object(2.2, "swapped"),), b""),
    "default": (
        b"/DeviceRGB",
        (icc_object(2.2, "swapped"),),
        b"/ColorSpace<</DefaultRGB[/ICCBased {1} 0 R]>>",
    ),
    "calibrated": (CAL_RGB, (), b""),
}


@needs_poppler
@pytest.mark.parametrize("name", SPACES)
def test_a_scan_has_the_colors_of_its_page(read: ReadPdf, tmp_path: Path, name: str) -> None:
    space, objects, resources = SPACES[name]
    pdf = write_pdf([scan(space, *objects, resources=b"/XObject<</I {0} 0 R>>" + resources)])
    expected = shown(pdf, tmp_path)
    found = center(stored(read(pdf).results[0]))
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= TOLERANCE
    assert read(pdf).facts()["method"] == ("extracted" if name == "device" else "rendered")


@pytest.mark.parametrize("name", ["linear", "P3", "swapped", "default"])
def test_the_renderers_agree_on_profiles(read: ReadPdf, name: str) -> None:
    space, objects, resources = SPACES[name]
    pdf = write_pdf([scan(space, *objects, resources=b"/XObject<</I {0} 0 R>>" + resources)])
    colors = [center(stored(read(pdf, renderer=one).results[0])) for one in ("auto", "pdfium")]
    assert max(abs(a - b) for a, b in zip(*colors, strict=True)) <= TOLERANCE


def test_an_srgb_profile_is_no_obstacle(read: ReadPdf) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pdf = write_pdf([scan(b"[/ICCBased {1} 0 R]", stream(b"/N 3", profile))])
    assert read(pdf).facts()["method"] == "extracted"


def test_a_profile_inside_the_jpeg_is_not_the_pages(read: ReadPdf) -> None:
    jpeg = flat_jpeg(icc_profile=icc_profile(1, "srgb"))
    result = read(write_pdf([scan(b"/DeviceRGB", jpeg=jpeg)])).results[0]
    assert max(abs(a - b) for a, b in zip(center(stored(result)), (55, 13, 128), strict=True)) <= TOLERANCE


@pytest.mark.parametrize(
    "entries",
    [
        b"/DecodeParms {1} 0 R",
        b"/DecodeParms[{1} 0 R]",
        b"/DecodeParms<</ColorTransform 0>>",
        b"/DecodeParms<</ColorTransform {1} 0 R>>",
        b"/Decode {2} 0 R",
    ],
)
def test_parameters_behind_references_are_obstacles(read: ReadPdf, entries: bytes) -> None:
    odd = scan(b"/DeviceRGB" + entries, b"<</ColorTransform 0>>", b"[1 0 1 0 1 0]")
    assert read(write_pdf([odd])).facts()["method"] == "rendered"


def with_inherited(pdf: bytes, entries: bytes) -> bytes:
    """The document with entries in the root of its page tree; offsets are found again by every reader."""
    return pdf.replace(b"<</Type/Pages", b"<</Type/Pages" + entries)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_boxes_are_inherited(read: ReadPdf, renderer: str) -> None:
    pdf = write_pdf([Page.scan(scan_jpeg())])
    cropped = read(with_inherited(pdf, b"/CropBox[0 0 72 108]"), renderer=renderer)
    assert (cropped.facts()["method"], cropped.image().size) == ("rendered", (300, 450))
    bare = pdf.replace(b"/MediaBox[0 0 144.0000 216.0000]", b"")
    full = read(with_inherited(bare, b"/MediaBox[0 0 144 216]"), renderer=renderer)
    assert (full.facts()["method"], full.image().size) == ("extracted", (600, 900))
    larger = read(with_inherited(bare, b"/MediaBox[0 0 288 432]"), renderer=renderer)
    assert (larger.facts()["method"], larger.image().size) == ("rendered", (1200, 1800))


@pytest.mark.parametrize("renderer", RENDERERS)
def test_form_fields_are_drawn_in_color(read: ReadPdf, renderer: str) -> None:
    look = stream(b"/Type/XObject/Subtype/Form/BBox[0 0 100 20]", b"0.1 0.2 0.9 rg 0 0 100 20 re f")
    field = b"<</Type/Annot/Subtype/Widget/FT/Tx/T(f)/V(x)/Rect[0 0 100 20]/F 4/AP<</N {0} 0 R>>>>"
    pdf = write_pdf(
        [Page(content=b"0 g 20 150 40 2 re f", entries=b"/Annots[{1} 0 R]", objects=[look, field])]
    )
    pdf = pdf.replace(b"<</Type/Catalog", b"<</Type/Catalog/AcroForm<</Fields[7 0 R]>>")
    image = read(pdf, renderer=renderer).image()
    assert image.mode == "RGB"
    red, _, blue = pixel(image, 20, image.height - 20)
    assert blue > 200 and red < 60


@pytest.mark.parametrize("renderer", RENDERERS)
def test_text_without_its_font_is_drawn(read: ReadPdf, renderer: str) -> None:
    lost = Page(content=b"BT /Missing 24 Tf 20 100 Td (Ikdam) Tj ET")
    sound = Page(content=b"BT /F 24 Tf 20 100 Td (Ikdam) Tj ET")
    found = read(write_pdf([sound, lost, sound]), renderer=renderer)
    for index in range(3):
        levels = np.asarray(found.image(index).convert("L"))
        assert levels.min() < 100 and levels.max() == 255
    assert found.facts(1)["renderer"].startswith("pdfium")
    assert found.facts(0)["renderer"].startswith(renderer)


def test_text_that_nobody_sees_is_no_damage(read: ReadPdf) -> None:
    contents = [
        b"BT 1 g /F 24 Tf 20 100 Td (white) Tj ET",
        b"BT /F 24 Tf 20 900 Td (outside) Tj ET",
        b"BT /F 24 Tf 20 100 Td (   ) Tj ET",
        b"BT 3 Tr /F 24 Tf 20 100 Td (invisible) Tj ET",
    ]
    found = read(write_pdf([Page(content=content) for content in contents]))
    assert all(isinstance(result, Payload) for result in found.results)


def image_page(data: bytes, entries: bytes, columns: int, rows: int, more: bytes = b"") -> Page:
    width, height = columns * 72 / 300, rows * 72 / 300
    head = b"/Type/XObject/Subtype/Image/Width %d/Height %d" % (columns, rows)
    return Page(
        width=width,
        height=height,
        content=b"q %f 0 0 %f 0 0 cm /I Do Q" % (width, height) + more,
        resources=b"/XObject<</I {0} 0 R>>/Font<</F 3 0 R>>",
        objects=[stream(head + entries, data)],
    )


def encodings() -> dict[str, tuple[bytes, bytes]]:
    """A noisy page of 400x300 pixels in each encoding: its data and entries."""
    rng = np.random.default_rng(5)
    gray = (rng.random((300, 400)) * 255).astype(np.uint8)
    jpx, tiff = io.BytesIO(), io.BytesIO()
    Image.fromarray(gray).save(jpx, "JPEG2000")
    Image.fromarray(gray).convert("1").save(tiff, "TIFF", compression="group4", strip_size=1 << 20)
    fax = TiffImagePlugin.TiffImageFile(io.BytesIO(tiff.getvalue()))
    offset, length = fax.tag_v2[273][0], fax.tag_v2[279][0]
    eight, one = b"/ColorSpace/DeviceGray/BitsPerComponent 8", b"/ColorSpace/DeviceGray/BitsPerComponent 1"
    return {
        "flate": (zlib.compress(gray.tobytes()), eight + b"/Filter/FlateDecode"),
        "jpx": (jpx.getvalue(), b"/Filter/JPXDecode"),
        "fax": (
            tiff.getvalue()[offset : offset + length],
            one + b"/Filter/CCITTFaxDecode/DecodeParms<</K -1/Columns 400/Rows 300>>",
        ),
        "jbig2": (b"", one + b"/Filter/JBIG2Decode"),
    }


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("name", encodings())
@pytest.mark.parametrize("text", [b"", b" BT /F 10 Tf 20 20 Td (page 1) Tj ET"])
def test_a_damaged_scan_in_any_encoding(read: ReadPdf, name: str, renderer: str, text: bytes) -> None:
    data, entries = encodings()[name]
    if data:
        whole = read(write_pdf([image_page(data, entries, 400, 300, text)]), renderer=renderer)
        assert isinstance(whole.results[0], Payload)
    if name == "fax" and renderer == "pdfium":
        return  # the data have no structure that could be checked without decoding them
    for broken in (data[: len(data) // 2], b"garbage" * 100):
        found = read(write_pdf([image_page(broken, entries, 400, 300, text)]), renderer=renderer)
        if broken:
            assert found.results[0].reason is Reason.PAGE_DAMAGED


def test_a_small_damaged_image_does_not_cost_the_page(read: ReadPdf) -> None:
    data, entries = encodings()["flate"]
    figure = image_page(data[:500], entries, 400, 300)
    figure.width, figure.height = 500, 500
    assert isinstance(read(write_pdf([figure])).results[0], Payload)


def test_copies_of_a_document_do_not_disturb_each_other(workspace: Workspace) -> None:
    data = write_pdf([Page(content=b"BT /F 24 Tf 20 100 Td (same) Tj ET")] * 2)
    keep(workspace, data)
    items = [
        item
        for number in range(20)
        for item in expand(data, Item("news", f"{number}.pdf"), PdfOptions(dpi=72)).pages
    ]
    results = list(read_pages(workspace, PdfOptions(dpi=72), items))
    assert sorted(item_id for item_id, _ in results) == sorted(item.item_id for item in items)
    assert len({result.data for _, result in results if isinstance(result, Payload)}) == 1
    assert all(isinstance(result, Payload) for _, result in results)


@needs_poppler
@pytest.mark.parametrize(("width", "mode"), [(2, "RGB"), (0, "L")])
def test_borders_of_links_keep_their_color(read: ReadPdf, width: int, mode: str) -> None:
    link = b"/Annots[<</Type/Annot/Subtype/Link/Rect[20 20 100 60]/C[1 0 0]/Border[0 0 %d]>>]" % width
    image = read(write_pdf([Page(content=GRAY_TEXT, entries=link)]), dpi=72).image()
    assert image.mode == mode
    assert (color_spread(image) > CLEAR_SPREAD) == (mode == "RGB")


@needs_poppler
def test_colors_that_poppler_leaves_out_are_drawn_by_pdfium(read: ReadPdf) -> None:
    glyph = stream(b"", b"1000 0 d0 1 0 0 RG 0 0 1 rg 60 w 0 0 750 750 re B")
    inner = (
        b"<</Type/Font/Subtype/Type3/FontBBox[0 0 750 750]/FontMatrix[.001 0 0 .001 0 0]"
        b"/FirstChar 97/LastChar 97/Encoding<</Differences[97/a]>>/Widths[1000]"
        b"/CharProcs<</a {0} 0 R>>/Resources<<>>>>"
    )
    content = b"BT 2 Tr /T 90 Tf 20 100 Td (a) Tj ET"
    page = Page(content=content, resources=b"/Font<</T {1} 0 R>>", objects=[glyph, inner])
    found = read(write_pdf([page]), dpi=72)
    assert color_spread(found.image()) > CLEAR_SPREAD


@needs_poppler
def test_a_page_that_only_pdfium_does_not_leave_white(read: ReadPdf) -> None:
    dot = io.BytesIO()
    Image.new("RGB", (1, 1), "red").save(dot, "JPEG")
    entries = b"/Type/XObject/Subtype/Image/Width 200/Height 100/BitsPerComponent 8/ColorSpace/DeviceRGB"
    scan = stream(
        entries + b"/DecodeParms[]/Filter[/ASCIIHexDecode/DCTDecode]", dot.getvalue().hex().encode() + b">"
    )
    content = b"500 0 0 500 0 0 cm /I Do"
    page = Page(content=content, resources=b"/XObject<</I {0} 0 R>>", objects=[scan])
    image = read(write_pdf([page]), dpi=72).image()
    assert pixel(image.convert("RGB"), 72, 108)[1] < 10


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_page_in_larger_units_has_more_pixels(read: ReadPdf, renderer: Renderer) -> None:
    scan = Page.scan(scan_jpeg(300, 400), dpi=300, entries=b"/UserUnit 2")
    found = read(write_pdf([scan, Page(30.3, 40.7, RED_TEXT, b"/UserUnit 3")]), dpi=300, renderer=renderer)
    assert found.image().size == (600, 800)
    assert found.image(1).size == (round(30.3 * 3 / 72 * 300), round(40.7 * 3 / 72 * 300))
