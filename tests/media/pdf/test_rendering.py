"""Pages are drawn to an exact size, in gray where they are gray, the same every time."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
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
from derlem.media.pdf import PdfOptions, expand, pages, read_pages, resolve_renderer
from derlem.storage.cache import keep
from tests.factories.pdf import Page, ReadPdf, scan_jpeg, write_pdf

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


# --- hangs, crashes, orphans ----------------------------------------------------------------------


READER = (
    "import sys; from pathlib import Path\n"
    "from derlem.media.pdf import PdfOptions, expand, read_pages\n"
    "from derlem.catalog.models import Item\n"
    "from derlem.core.workspace import Workspace\n"
    "path, root, renderer = sys.argv[1:]\n"
    "options = PdfOptions(renderer=renderer)\n"
    "items = expand(Path(path).read_bytes(), Item('news', 'a.pdf'), options).pages\n"
    "list(read_pages(Workspace(Path(root)), options, items))\n"
)


def renderers() -> list[psutil.Process]:
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if "derlem.media.pdf.renderer_process" in process.cmdline() or process.name().startswith("pdf")
    ]


@pytest.fixture
def endless() -> Page:
    """A page that takes for ever: forms that draw each other twice, forty levels deep."""
    depth = 40
    objects = []
    for level in range(depth):
        body = b"/X Do /X Do" if level < depth - 1 else b"0 0 1 1 re f"
        inner = b"/Resources<</XObject<</X {%d} 0 R>>>>" % (level + 1) if level < depth - 1 else b""
        objects.append(
            b"<</Type/XObject/Subtype/Form/BBox[0 0 99 99]%s/Length %d>>stream\n%s\nendstream"
            % (inner, len(body), body)
        )
    # Red, so that nothing is drawn just to see whether it is gray.
    return Page(content=b"1 0 0 rg 0 0 9 9 re f /X Do", resources=b"/XObject<</X {0} 0 R>>", objects=objects)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_page_that_takes_for_ever_costs_itself(read: ReadPdf, endless: Page, renderer: Renderer) -> None:
    pdf = write_pdf([Page(content=GRAY_TEXT), endless, Page(content=GRAY_TEXT)])
    results = read(pdf, renderer=renderer, page_deadline=2).results
    assert isinstance(results[0], Payload) and isinstance(results[2], Payload)
    assert results[1].reason is Reason.RENDERER_TIMEOUT
    # What ran for the endless page is gone; the one left is the one that drew the last Page.
    assert len(renderers()) <= 1


@pytest.fixture
def false_poppler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """`false_poppler(program, script)`: puts a shell script in the place of one of poppler's programs."""

    def put(program: str, script: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        real = shutil.which(program)
        double = folder / program
        double.write_text(
            f'#!/bin/sh\nif [ "$1" = -v ]; then exec {real} -v; fi\n{script.format(real=real)}\n'
        )
        double.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        pages.RENDERER.close()

    yield put
    pages.RENDERER.close()


@needs_poppler
@pytest.mark.parametrize("program", ["pdftocairo", "pdfinfo"])
def test_a_program_of_popplers_that_hangs_is_killed(
    read: ReadPdf, false_poppler: Callable[[str, str], None], program: str
) -> None:
    sleep = ["sleep", str(10_000 + os.getpid())]
    false_poppler(program, " ".join(sleep))
    results = read(write_pdf([Page(content=RED_TEXT)]), renderer="pdf2image", page_deadline=1).results
    assert results[0].reason is Reason.RENDERER_TIMEOUT
    pages.RENDERER.close()
    assert renderers() == []
    assert not [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == sleep]


@needs_poppler
def test_a_program_of_popplers_that_fails_costs_its_pages(
    read: ReadPdf, false_poppler: Callable[[str, str], None]
) -> None:
    false_poppler("pdftocairo", "exit 99")
    results = read(write_pdf([Page(content=RED_TEXT)] * 2), renderer="pdf2image").results
    assert [result.reason for result in results] == [Reason.PAGE_DAMAGED] * 2


@needs_poppler
def test_pages_that_a_run_loses_are_drawn_alone(
    read: ReadPdf, false_poppler: Callable[[str, str], None]
) -> None:
    """A program that dies on the second page of a run leaves it half written, and the third out."""
    false_poppler(
        "pdftocairo",
        'case "$*" in *"-f 1 -l 3"*) {real} "$@"; for f in "$(echo "$*" | sed "s/.* //")"; do :; done;\n'
        'for last; do :; done; folder=$(dirname "$(echo "$*" | grep -o "/[^ ]*derlem-pages-[^ ]*")");\n'
        'rm "$folder"/*-3.jpg; truncate -s 500 "$folder"/*-2.jpg; exit 1;; *) exec {real} "$@";; esac',
    )
    results = read(write_pdf([Page(content=RED_TEXT)] * 3), renderer="pdf2image").results
    assert [isinstance(result, Payload) for result in results] == [True] * 3
    assert len({sha256(result) for result in results}) == 1


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_crash_costs_one_page(workspace: Workspace, renderer: Renderer) -> None:
    path = workspace.cached(keep(workspace, write_pdf([Page(1400 + i, 1400, GRAY_TEXT) for i in range(6)])))
    options = PdfOptions(renderer=renderer)
    items = expand(path.read_bytes(), Item("news", "a.pdf"), options).pages
    reading = read_pages(workspace, options, items)
    results = dict([next(reading)])
    for process in renderers():
        if "derlem.media.pdf.renderer_process" in process.cmdline():
            os.kill(process.pid, signal.SIGSEGV)
    results.update(reading)
    lost = [result for result in results.values() if isinstance(result, Failure)]
    assert results.keys() == {item.item_id for item in items}
    assert len(lost) <= 1
    assert all(failure.reason is Reason.RENDERER_CRASH for failure in lost)


def test_giving_up_half_way_leaves_the_next_reader_in_peace(read: ReadPdf, workspace: Workspace) -> None:
    path = workspace.cached(keep(workspace, write_pdf([Page(content=GRAY_TEXT)] * 5)))
    reading = read_pages(
        workspace, PdfOptions(), expand(path.read_bytes(), Item("news", "a.pdf"), PdfOptions()).pages
    )
    next(reading)
    reading.close()  # type: ignore[attr-defined]  # a generator
    assert isinstance(read(write_pdf([Page(content=RED_TEXT)])).results[0], Payload)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_no_renderer_outlives_a_killed_reader(
    workspace: Workspace,
    endless: Page,
    renderer: Renderer,
    tmp_path: Path,
    false_poppler: Callable[[str, str], None],
) -> None:
    if renderer == "pdf2image":
        false_poppler("pdftocairo", "sleep 1000")
    pdf = write_pdf([Page(content=RED_TEXT) if renderer == "pdf2image" else endless])
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    path = workspace.cached(keep(workspace, pdf))
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, path, workspace.root, renderer],
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    wanted = "sleep" if renderer == "pdf2image" else "python"
    tree: list[psutil.Process] = []
    for _ in range(200):
        tree = psutil.Process(reader.pid).children(recursive=True)
        if any(process.name().startswith(wanted) for process in tree):
            break
        time.sleep(0.05)
    try:
        assert any(process.name().startswith(wanted) for process in tree)
    finally:
        reader.kill()
        reader.wait()
    _, alive = psutil.wait_procs(tree, timeout=60)
    assert not alive
    assert list(temporary.iterdir()) == []


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


def test_a_reader_that_ends_leaves_nothing_behind(workspace: Workspace, tmp_path: Path) -> None:
    path = workspace.cached(keep(workspace, write_pdf([Page(content=RED_TEXT)])))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    subprocess.run(
        [sys.executable, "-c", READER, path, workspace.root, "auto"],
        env={**os.environ, "TMPDIR": str(temporary)},
        check=True,
    )
    for _ in range(100):  # the renderer goes a moment after its reader
        if not list(temporary.iterdir()):
            break
        time.sleep(0.05)
    assert list(temporary.iterdir()) == []


def test_one_renderer_serves_all_of_a_process(read: ReadPdf) -> None:
    read(write_pdf([Page()]))
    first = [process.pid for process in renderers()]
    read(write_pdf([Page(90, 90)]))
    assert [process.pid for process in renderers()] == first and len(first) == 1
    pages.RENDERER.close()
    assert renderers() == []
