"""A page that is nothing but a scan gives that scan, byte for byte; any other page is drawn."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from derlem.catalog.models import Failure, Payload
from derlem.catalog.status import Reason
from derlem.media.image import normalize
from tests.factories.pdf import Page, ReadPdf, scan_jpeg, write_pdf


def test_a_scan_is_extracted_untouched(read: ReadPdf) -> None:
    scans = [scan_jpeg(), scan_jpeg(mode="RGB", seed=2), scan_jpeg(seed=3, progressive=True)]
    pages = [Page.scan(scans[0]), Page.scan(scans[1], image=b"/ColorSpace/DeviceRGB"), Page.scan(scans[2])]
    found = read(write_pdf(pages))
    assert [result.data for result in found.results] == scans
    assert found.facts(1) == {
        "page": 2,
        "pages": 3,
        "size": [144.0, 216.0],
        "rotation": 0,
        "native_dpi": [300.0, 300.0],
        "method": "extracted",
    }
    for result, scan in zip(found.results, scans, strict=True):
        assert normalize(result.data).data == scan


@pytest.mark.skipif(shutil.which("pdfimages") is None, reason="poppler's pdfimages is not installed")
def test_it_is_what_pdfimages_gives(read: ReadPdf, tmp_path: Path) -> None:
    pdf = write_pdf([Page.scan(scan_jpeg(seed=seed)) for seed in range(4)])
    (tmp_path / "a.pdf").write_bytes(pdf)
    subprocess.run(["pdfimages", "-all", tmp_path / "a.pdf", tmp_path / "out"], check=True)
    expected = [path.read_bytes() for path in sorted(tmp_path.glob("out-*.jpg"))]
    assert [result.data for result in read(pdf).results] == expected


@pytest.mark.skipif(shutil.which("pdfimages") is None, reason="poppler's pdfimages is not installed")
def test_real_scans_are_what_pdfimages_gives(
    read: ReadPdf, material: Callable[[str], Path], tmp_path: Path
) -> None:
    extracted = 0
    for path in sorted(material("pdfs").rglob("*.pdf")):
        if path.name in ("hugemono.pdf", "invalid.pdf", "poster.pdf", "enormous.pdf", "multipage.pdf"):
            continue  # gigantic, or no PDF
        found = read(path.read_bytes(), extract="native", dpi=36)
        for item, result in zip(found.items, found.results, strict=True):
            if isinstance(result, Payload) and result.meta["pdf"]["method"] == "extracted":
                number = str(item.locator_state["page"])
                root = tmp_path / f"{path.stem}-{number}"
                subprocess.run(["pdfimages", "-all", "-f", number, "-l", number, path, root], check=True)
                assert result.data in [file.read_bytes() for file in tmp_path.glob(f"{root.name}-*")]
                extracted += 1
    assert extracted == 2


@pytest.mark.parametrize(
    ("dpi", "auto"), [(285.1, True), (314.9, True), (284, False), (316, False), (600, False)]
)
def test_the_resolution_decides(read: ReadPdf, dpi: float, auto: bool) -> None:
    pdf = write_pdf([Page.scan(scan_jpeg(), dpi=dpi)])
    assert read(pdf).facts()["method"] == ("extracted" if auto else "rendered")
    assert read(pdf, extract="native").facts()["method"] == "extracted"
    assert read(pdf, extract="never").facts()["method"] == "rendered"
    assert read(pdf).facts()["native_dpi"] == pytest.approx([dpi, dpi], abs=0.1)


def test_invisible_text_is_no_obstacle_and_is_kept(read: ReadPdf) -> None:
    scan = Page.scan(scan_jpeg())
    scan.content += b" BT 3 Tr /F 12 Tf 20 100 Td (Ikdam, sekizinci sene) Tj ET"
    found = read(write_pdf([scan]))
    assert found.facts()["method"] == "extracted"
    assert found.facts()["text"] == "Ikdam, sekizinci sene"


def test_invisible_text_in_a_form_is_no_obstacle(read: ReadPdf) -> None:
    scan = Page.scan(scan_jpeg(), resources=b"/XObject<</I {0} 0 R/T {1} 0 R>>")
    text = b"BT 3 Tr /F 12 Tf 20 100 Td (below) Tj ET"
    scan.objects.append(
        b"<</Type/XObject/Subtype/Form/BBox[0 0 144 216]/Resources<</Font<</F 3 0 R>>>>"
        b"/Length %d>>stream\n%s\nendstream" % (len(text), text)
    )
    scan.content += b" /T Do"
    assert read(write_pdf([scan])).facts()["method"] == "extracted"


def test_a_clip_around_the_whole_page_is_no_obstacle(read: ReadPdf) -> None:
    scan = Page.scan(scan_jpeg())
    scan.content = b"q 0 0 144 216 re W n " + scan.content[2:]
    assert read(write_pdf([scan])).facts()["method"] == "extracted"


OBSTACLES: dict[str, tuple[dict[str, Any], bytes, bytes]] = {
    "text over it": ({}, b" BT /F 12 Tf 20 100 Td (stamp) Tj ET", b""),
    "a line over it": ({}, b" 10 10 m 90 90 l S", b""),
    "a second image": ({}, b" q 9 0 0 9 5 5 cm /I Do Q", b""),
    "a turned page": ({"entries": b"/Rotate 90"}, b"", b""),
    "a cropped page": ({"entries": b"/CropBox[0 0 100 100]"}, b"", b""),
    "a mask": ({}, b"", b"/Mask[0 10]"),
    "a soft mask": ({}, b"", b"/SMask 3 0 R"),
    "inverted levels": ({}, b"", b"/Decode[1 0]"),
    "a layer": ({}, b"", b"/OC 3 0 R"),
    "a stamp": (
        {"entries": b"/Annots[<</Type/Annot/Subtype/Stamp/Rect[10 10 50 50]>>]"},
        b"",
        b"",
    ),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_is_more_than_a_scan_is_drawn(read: ReadPdf, name: str) -> None:
    settings, more, image = OBSTACLES[name]
    scan = Page.scan(scan_jpeg(), image=b"/ColorSpace/DeviceGray" + image, **settings)
    scan.content += more
    assert read(write_pdf([scan]), renderer="pdfium").facts()["method"] == "rendered"


@pytest.mark.parametrize(
    "content",
    [
        b"q 72 0 0 108 0 0 cm /I Do Q",  # a part of the page
        b"q -144 0 0 216 144 0 cm /I Do Q",  # mirrored
        b"q 144 0 0 -216 0 216 cm /I Do Q",  # upside down
        b"q 144 3 -3 216 0 0 cm /I Do Q",  # skewed
        b"q 0 0 70 216 re W n 144 0 0 216 0 0 cm /I Do Q",  # clipped
        b"q /OC /L BDC 144 0 0 216 0 0 cm /I Do EMC Q",  # in a layer
    ],
)
def test_what_lies_otherwise_is_drawn(read: ReadPdf, content: bytes) -> None:
    resources = b"/XObject<</I {0} 0 R>>/Properties<</L<</Type/OCG/Name(Layer)>>>>"
    pdf = write_pdf([Page.scan(scan_jpeg(), content=content, resources=resources)])
    assert read(pdf, renderer="pdfium", extract="native").facts()["method"] == "rendered"


def test_default_levels_and_links_are_no_obstacle(read: ReadPdf) -> None:
    scan = Page.scan(
        scan_jpeg(),
        image=b"/ColorSpace/DeviceGray/Decode[0 1]",
        entries=b"/Annots[<</Type/Annot/Subtype/Link/Rect[10 10 50 50]>>]",
    )
    assert read(write_pdf([scan])).facts()["method"] == "extracted"


@pytest.mark.parametrize(
    "space", [b"[/Separation/Black/DeviceGray<<>>]", b"[/Indexed/DeviceGray 1<00ff>]", b"/Lab"]
)
def test_odd_color_spaces_are_drawn(read: ReadPdf, space: bytes) -> None:
    pdf = write_pdf([Page.scan(scan_jpeg(), image=b"/ColorSpace" + space)])
    result = read(pdf, renderer="pdfium").results[0]
    assert isinstance(result, Failure) or result.meta["pdf"]["method"] == "rendered"


def test_cmyk_is_drawn(read: ReadPdf) -> None:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(scan_jpeg(mode="RGB"))).convert("CMYK").save(buffer, "JPEG")
    found = read(
        write_pdf([Page.scan(buffer.getvalue(), image=b"/ColorSpace/DeviceCMYK")]), renderer="pdfium"
    )
    assert found.facts()["method"] == "rendered"
    assert found.image().mode == "RGB"


def test_other_encodings_are_drawn(read: ReadPdf) -> None:
    jpeg = scan_jpeg()
    scan = Page.scan(jpeg)
    packed = zlib.compress(jpeg)
    scan.objects[0] = (
        b"<</Type/XObject/Subtype/Image/Width 600/Height 900/BitsPerComponent 8/ColorSpace/DeviceGray"
        b"/Filter[/FlateDecode/DCTDecode]/Length %d>>stream\n%s\nendstream" % (len(packed), packed)
    )
    found = read(write_pdf([scan]), renderer="pdfium")
    assert found.facts()["method"] == "rendered"
    assert found.image().mode == "L"


def test_exif_in_a_scan_does_not_turn_the_page(read: ReadPdf) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = read(write_pdf([Page.scan(scan_jpeg(exif=exif))]), renderer="pdfium")
    assert found.facts()["method"] == "rendered"
    assert found.image().size == (600, 900)


def test_scans_that_share_their_beginning_are_told_apart(read: ReadPdf) -> None:
    first, second = scan_jpeg(seed=1), scan_jpeg(seed=2)
    assert first[:300] == second[:300]
    masked = Page.scan(first, image=b"/ColorSpace/DeviceGray/Decode[1 0]")
    found = read(write_pdf([masked, Page.scan(second), Page.scan(first)]), renderer="pdfium")
    # The first and the last hold the same bytes: what is asked of the one might be meant for the other.
    assert [found.facts(index)["method"] for index in range(3)] == ["rendered", "extracted", "rendered"]


def test_a_truncated_scan_is_a_damaged_page(read: ReadPdf) -> None:
    whole = scan_jpeg()
    broken = Page.scan(whole)
    half = whole[: len(whole) // 2]
    broken.objects[0] = broken.objects[0].replace(whole, half).replace(b"%d" % len(whole), b"%d" % len(half))
    for extract in ("auto", "never"):
        found = read(write_pdf([Page.scan(whole), broken]), extract=extract)
        assert isinstance(found.results[0], Payload)
        assert found.results[1].reason is Reason.PAGE_DAMAGED


def test_a_scan_that_lacks_only_its_end_marker_is_drawn(read: ReadPdf) -> None:
    whole = scan_jpeg()
    cut = Page.scan(whole)
    cut.objects[0] = (
        cut.objects[0].replace(whole, whole[:-2]).replace(b"%d" % len(whole), b"%d" % (len(whole) - 2))
    )
    found = read(write_pdf([cut]))
    assert found.facts()["method"] == "rendered"


def test_the_catalog_knows_the_embedded_bytes(read: ReadPdf) -> None:
    scan = scan_jpeg(comment=b"made by a scanner")
    image = normalize(read(write_pdf([Page.scan(scan)])).results[0].data)
    assert image.original_sha256 == hashlib.sha256(scan).hexdigest()
    assert b"made by a scanner" not in image.data
