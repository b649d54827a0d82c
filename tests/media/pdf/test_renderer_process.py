"""The process that draws pages: hangs, crashes and orphans cost one page and leave nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from derlem.catalog.models import Failure, Item, Payload
from derlem.catalog.status import Reason
from derlem.core.workspace import Workspace
from derlem.media.pdf import PdfOptions, expand, pages, read_pages
from derlem.storage.cache import keep
from tests.factories.pdf import (
    GRAY_TEXT,
    RED_TEXT,
    RENDERERS,
    Page,
    ReadPdf,
    Renderer,
    needs_poppler,
    sha256,
    write_pdf,
)

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


def named(process: psutil.Process, start: str) -> bool:
    """Whether the process's name starts so; False once it has ended."""
    try:
        return str(process.name()).startswith(start)
    except psutil.NoSuchProcess:
        return False


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
    # The whole session got SIGKILL, but `close` waits for the renderer alone: the program may end later.
    hanging = [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == sleep]
    assert psutil.wait_procs(hanging, timeout=30)[1] == []


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
    try:
        for _ in range(200):
            tree = psutil.Process(reader.pid).children(recursive=True)
            if any(named(process, wanted) for process in tree):
                break
            time.sleep(0.05)
        assert any(named(process, wanted) for process in tree)
    finally:
        reader.kill()
        reader.wait()
    _, alive = psutil.wait_procs(tree, timeout=60)
    assert not alive
    assert list(temporary.iterdir()) == []


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
