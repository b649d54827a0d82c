"""Pages are drawn to an exact size, in gray where they are gray, the same every time."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops
from pydantic import ValidationError

from derlem.catalog.models import Failure, Item, Payload, Rejected
from derlem.catalog.status import Reason
from derlem.core.errors import ConfigError
from derlem.core.workspace import Workspace
from derlem.media.image import normalize
from derlem.media.pdf import PdfOptions, expand, read_pages, resolve_renderer
from derlem.storage.cache import keep
from tests.factories.pdf import (
    GRAY_TEXT,
    RED_TEXT,
    RENDERERS,
    Page,
    ReadPdf,
    Renderer,
    needs_poppler,
    reason_of,
    scan_jpeg,
    sha256,
    write_pdf,
)


@pytest.mark.parametrize("renderer", RENDERERS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.tuples(st.floats(5, 300), st.floats(5, 300)),
    turned=st.booleans(),
    dpi=st.sampled_from([72, 150, 300]),
)
def test_sizes_are_exact(
    read: ReadPdf, renderer: Renderer, size: tuple[int, int], turned: int, dpi: float
) -> None:
    width, height = (round(side, 3) for side in size)
    entries = b"/Rotate 270" if turned else b""
    found = read(write_pdf([Page(width, height, GRAY_TEXT, entries)]), renderer=renderer, dpi=dpi)
    shown = (height, width) if turned else (width, height)
    assert found.image().size == tuple(max(1, round(side / 72 * dpi)) for side in shown)


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize(
    "paper", [(595.276, 841.89), (595, 842), (612, 792), (841.89, 1190.55), (1190.55, 1683.78), (595, 841)]
)
def test_paper_sizes_are_exact(read: ReadPdf, renderer: Renderer, paper: tuple[float, float]) -> None:
    found = read(write_pdf([Page(paper[0], paper[1], GRAY_TEXT)]), renderer=renderer)
    assert found.image().size == tuple(round(side / 72 * 300) for side in paper)
    assert found.facts()["dpi"] == 300


@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_crop_box_is_the_page(read: ReadPdf, renderer: Renderer) -> None:
    cropped = Page(144, 216, b"1 0 0 rg 0 0 72 216 re f", b"/CropBox[72 0 144 216]")
    found = read(write_pdf([cropped]), renderer=renderer)
    assert found.image().size == (300, 900)
    assert found.image().convert("L").getextrema() == (255, 255)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_gray_stays_gray_and_colors_stay(read: ReadPdf, renderer: Renderer) -> None:
    tiled = b"/Pattern cs /P scn 0 0 100 100 re f"
    pattern = (
        b"<</Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 9 9]/XStep 9/YStep 9/Resources<<>>"
        b"/Length 22>>stream\n%s 0 0 5 5 re f\nendstream"
    )
    patterned: dict[str, Any] = {"content": tiled, "resources": b"/Pattern<</P {0} 0 R>>"}
    expected = {
        "gray text": ("L", Page(content=GRAY_TEXT)),
        "red text": ("RGB", Page(content=RED_TEXT)),
        "an empty page": ("L", Page()),
        "black ink": ("L", Page(content=b"0 0 0 0.4 k 10 10 50 50 re f")),
        "a gray scan": ("L", Page.scan(scan_jpeg(), dpi=200)),
        "a color scan": ("RGB", Page.scan(scan_jpeg(mode="RGB"), dpi=200, image=b"/ColorSpace/DeviceRGB")),
        "a colored pattern": ("RGB", Page(**patterned, objects=[pattern % b"1 0 0 rg"])),
        "a gray pattern": ("L", Page(**patterned, objects=[pattern % b"0.5 g   "])),
        "a colored field": (
            "RGB",
            Page(
                entries=b"/Annots[<</Type/Annot/Subtype/Square/F 4/Rect[10 10 90 90]/AP<</N {0} 0 R>>>>]",
                objects=[
                    b"<</Type/XObject/Subtype/Form/BBox[0 0 80 80]/Length 24>>stream\n"
                    b"0 0 1 rg 0 0 80 80 re f  \nendstream"
                ],
            ),
        ),
    }
    found = read(write_pdf([each for _, each in expected.values()]), renderer=renderer)
    modes = {name: found.image(index).mode for index, name in enumerate(expected)}
    assert modes == {name: mode for name, (mode, _) in expected.items()}


@pytest.mark.parametrize("renderer", RENDERERS)
def test_rendered_pages_need_no_further_work(read: ReadPdf, renderer: Renderer) -> None:
    for result in read(
        write_pdf([Page(content=GRAY_TEXT), Page(content=RED_TEXT)]), renderer=renderer
    ).results:
        assert normalize(result.data).data is result.data


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_scan_is_drawn_as_it_is(read: ReadPdf, renderer: Renderer) -> None:
    scan = scan_jpeg(quality=95)
    found = read(write_pdf([Page.scan(scan)]), renderer=renderer, extract="never")
    off = np.asarray(ImageChops.difference(found.image(), Image.open(io.BytesIO(scan))))
    extreme, mean = off.max(), off.mean()
    assert found.image().size == (600, 900)
    if renderer == "pdf2image":
        assert extreme < 40 and mean < 2
    else:
        assert mean < 8  # pdfium resamples, by less than a pixel


@pytest.mark.parametrize("renderer", RENDERERS)
def test_pages_are_the_same_in_any_company(read: ReadPdf, renderer: Renderer, workspace: Workspace) -> None:
    pdf = write_pdf(
        [
            Page(content=GRAY_TEXT),
            Page(content=RED_TEXT),
            Page(content=GRAY_TEXT + b" 0 0 9 9 re f"),
            Page(90, 90),
        ]
        + [Page.scan(scan_jpeg(seed=seed), dpi=150 + 150 * (seed % 2)) for seed in range(3)]
    )
    together = read(pdf, renderer=renderer)
    again = read(pdf, renderer=renderer)
    options = PdfOptions(renderer=renderer)
    alone = [next(read_pages(workspace, options, [item]))[1] for item in reversed(together.items)][::-1]
    hashes = [[sha256(result) for result in results] for results in (together.results, again.results, alone)]
    assert hashes[0] == hashes[1] == hashes[2]
    assert [result.meta for result in together.results] == [result.meta for result in alone]


@pytest.mark.parametrize("renderer", RENDERERS)
def test_what_drew_a_page_is_recorded(read: ReadPdf, renderer: Renderer) -> None:
    facts = read(write_pdf([Page(content=GRAY_TEXT, entries=b"/Rotate 90")]), renderer=renderer).facts()
    assert facts["renderer"].startswith(f"{renderer} ") and facts["renderer"][-1].isdigit()
    assert (facts["method"], facts["dpi"], facts["rotation"], facts["text"]) == (
        "rendered",
        300,
        90,
        "Ikdam 1908",
    )
    assert "native_dpi" not in facts


@needs_poppler
def test_pages_keep_their_numbers_where_poppler_skips_some(read: ReadPdf) -> None:
    pages = [Page(100 + number, 100, RED_TEXT) for number in range(4)]
    pages[1] = Page(missing=True)
    found = read(write_pdf(pages), renderer="pdf2image", dpi=72)
    assert found.results[1].reason is Reason.PAGE_DAMAGED
    assert [found.image(index).width for index in (0, 2, 3)] == [100, 102, 103]
    assert found.facts(2)["renderer"].startswith("pdfium ")


@pytest.mark.parametrize("renderer", RENDERERS)
def test_three_bad_pages_of_eight(read: ReadPdf, renderer: Renderer) -> None:
    whole = scan_jpeg()
    truncated = Page.scan(whole)
    truncated.objects[0] = truncated.objects[0].replace(whole, whole[:5000])
    pages = [Page(content=GRAY_TEXT) for _ in range(8)]
    pages[1], pages[4], pages[6] = Page(missing=True), truncated, Page(width=14_000, height=14_000)
    results = read(write_pdf(pages), renderer=renderer).results
    reasons = [result.reason if isinstance(result, Failure) else None for result in results]
    assert reasons == [
        None, Reason.PAGE_DAMAGED, None, None, Reason.PAGE_DAMAGED, None, Reason.PAGE_TOO_LARGE, None,
    ]  # fmt: skip


def test_the_cap_on_pixels_holds_when_reading_too(workspace: Workspace) -> None:
    path = workspace.cached(keep(workspace, write_pdf([Page()])))
    items = expand(path.read_bytes(), Item("news", "a.pdf"), PdfOptions()).pages
    ((_, result),) = read_pages(workspace, PdfOptions(max_page_pixels=1000), items)
    assert isinstance(result, Failure) and result.reason is Reason.PAGE_TOO_LARGE


def test_a_document_that_left_the_cache(workspace: Workspace) -> None:
    path = workspace.cached(keep(workspace, write_pdf([Page()] * 2)))
    items = expand(path.read_bytes(), Item("news", "a.pdf"), PdfOptions()).pages
    path.unlink()
    results = dict(read_pages(workspace, PdfOptions(), items))
    assert [reason_of(results[item.item_id]) for item in items] == [Reason.MISSING] * 2


def test_a_document_that_changed_for_the_worse(workspace: Workspace) -> None:
    path = workspace.cached(keep(workspace, write_pdf([Page()] * 2)))
    items = expand(path.read_bytes(), Item("news", "a.pdf"), PdfOptions()).pages
    path.write_bytes(b"%PDF-1.4 no more")
    results = dict(read_pages(workspace, PdfOptions(), items))
    assert [reason_of(results[item.item_id]) for item in items] == [Reason.PDF_DAMAGED] * 2


def test_documents_and_scattered_pages_together(workspace: Workspace) -> None:
    items = []
    for number in range(3):
        pdf = write_pdf([Page(90 + number, 90, GRAY_TEXT) for _ in range(20)])
        path = workspace.cached(keep(workspace, pdf))
        items += expand(path.read_bytes(), Item("news", f"{number}.pdf"), PdfOptions()).pages[::3]
    consumed = 0

    def stream() -> Iterator[Item]:
        nonlocal consumed
        for item in items:
            consumed += 1
            yield item

    results = {}
    for item_id, result in read_pages(workspace, PdfOptions(dpi=72), stream()):
        results[item_id] = result
        assert consumed <= len(results) + 17  # lazily
    assert results.keys() == {item.item_id for item in items}
    assert all(isinstance(result, Payload) for result in results.values())


def test_options() -> None:
    with pytest.raises(ValidationError):
        PdfOptions.model_validate({"dip": 300})
    assert resolve_renderer(PdfOptions(renderer="pdfium")) == "pdfium"


@pytest.mark.parametrize(("installed", "chosen"), [(True, "pdf2image"), (False, "pdfium")])
def test_auto_takes_what_is_installed(monkeypatch: pytest.MonkeyPatch, installed: bool, chosen: str) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if installed else None)
    assert resolve_renderer(PdfOptions()) == chosen


def test_a_renderer_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match="poppler"):
        resolve_renderer(PdfOptions(renderer="pdf2image"))


# --- real documents -------------------------------------------------------------------------------


def account(workspace: Workspace, pdf: bytes, options: PdfOptions) -> list[str]:
    """Read a whole document; the outcome of each page, or of the document."""
    path = workspace.cached(keep(workspace, pdf))
    try:
        items = expand(path.read_bytes(), Item("news", "a.pdf"), options).pages
    except Rejected as rejection:
        assert rejection.reason in (Reason.PDF_ENCRYPTED, Reason.PDF_DAMAGED, Reason.PDF_EMPTY)
        return [str(rejection.reason)]
    waiting = [item for item in items if item.reason is None]
    results = dict(read_pages(workspace, options, waiting))
    assert results.keys() == {item.item_id for item in waiting}
    outcomes = []
    for item in items:
        result = results.get(item.item_id, Failure(item.reason) if item.reason else None)
        assert result is not None
        if isinstance(result, Failure):
            outcomes.append(str(result.reason))
            continue
        image = normalize(result.data)
        facts = result.meta["pdf"]
        if facts["method"] == "rendered":
            exact = tuple(max(1, round(side / 72 * options.dpi)) for side in facts["size"])
            assert (image.width, image.height) == exact
        outcomes.append(facts["method"])
    return outcomes


@pytest.mark.short(3)
@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("folder", ["pdfs", "pypdf", "pikepdf"])
def test_real_documents_are_accounted_for(
    workspace: Workspace, material: Callable[[str], Path], renderer: Renderer, folder: str
) -> None:
    paths = sorted(path for path in material(folder).rglob("*") if path.suffix.lower() == ".pdf")
    assert paths
    options = PdfOptions(renderer=renderer, dpi=75, page_deadline=30)
    outcomes = [outcome for path in paths for outcome in account(workspace, path.read_bytes(), options)]
    assert outcomes.count("rendered") + outcomes.count("extracted") >= len(paths) // 2
    assert "renderer_timeout" not in outcomes and "renderer_crash" not in outcomes


def test_encrypted_documents_say_so(workspace: Workspace, material: Callable[[str], Path]) -> None:
    folder = material("pypdf")
    for path in sorted(folder.rglob("*user-password*.pdf")):
        assert account(workspace, path.read_bytes(), PdfOptions(dpi=36)) == ["pdf_encrypted"]
