"""Pages per second: derlem's rasterizer beside a pdf2image loop and beside poppler on all cores.

    python benchmarks/pdf_pages.py [--scans 16] [--born-digital 32] [--workers N]

Two documents: A2 newspaper scans with their 300 DPI JPEGs embedded, and born-digital A4 pages of text,
tables and lines. The results are JPEG files or payloads at 300 DPI:

(a)  for each page: pdf2image.convert_from_path(..., dpi=300)[0].save(...), one process
(b)  seq | xargs -P workers pdftocairo -jpeg -r 300, one page a call
ours derlem.media.pdf.read_pages in `workers` processes, in tasks as the executor gets them

Each runs three times, in turns; the best is reported.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pdf2image
from PIL import Image

from derlem.catalog.models import Item, Payload
from derlem.core.workspace import Workspace
from derlem.media.image import normalize
from derlem.media.pdf import PdfOptions, expand, read_pages
from derlem.pipeline.tasks import PAGES_PER_TASK, cut
from derlem.storage.cache import keep

A2_PIXELS = (4961, 7016)
A4_POINTS = (595.32, 841.92)
RENDERERS = ("pdf2image", "pdfium")
LOOP = "(a) plain loop, on one core"
SHELL = "(b) xargs pdftocairo"
ROUNDS = 3


def newspaper(seed: int) -> bytes:
    """A grainy gray scan of an A2 page: columns of text-like rows on yellowed paper, as a JPEG."""
    rng = np.random.default_rng(seed)
    columns, rows = A2_PIXELS
    page = rng.normal(205, 4, (rows, columns))
    for left in range(200, columns - 600, 760):
        for top in range(300, rows - 300, 46):
            letters = np.kron(rng.random((7, 170)) < 0.45, np.ones((4, 4)))
            page[top : top + 28, left : left + 680] -= 150 * letters
    buffer = io.BytesIO()
    Image.fromarray(page.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=75)
    return buffer.getvalue()


def article(seed: int) -> bytes:
    """The content of a born-digital page: sixty lines of text, a table, a coloured headline."""
    rng = np.random.default_rng(seed)
    words = ["gazete", "haber", "matbaa", "devir", "meclis", "sayfa", "resim", "kelime", "harf", "nisan"]
    lines = [b"0.7 0.1 0.1 rg BT /F 22 Tf 60 780 Td (Haberler %d) Tj ET 0 g" % seed]
    for row in range(48):
        text = " ".join(words[index] for index in rng.integers(0, len(words), 13)).encode()
        lines.append(b"BT /F 10 Tf 60 %d Td (%s) Tj ET" % (750 - 12 * row, text))
    for row in range(9):
        lines.append(b"0.5 w 60 %d m 535 %d l S" % (60 + 12 * row, 60 + 12 * row))
        lines.append(b"0.9 g %d 60 40 96 re f 0 g" % (60 + 60 * row))
    return b"\n".join(lines)


def write_pdf(pages: list[tuple[tuple[float, float], bytes, bytes]], objects: list[bytes]) -> bytes:
    """A PDF of pages (size in points, content, resources); `objects` are numbered from 3."""
    bodies = [b"<</Type/Catalog/Pages 2 0 R>>", b"", *objects]
    kids = []
    for (width, height), content, resources in pages:
        bodies.append(b"<</Length %d>>stream\n%s\nendstream" % (len(content), content))
        bodies.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %.4f %.4f]/Contents %d 0 R/Resources<<%s>>>>"
            % (width, height, len(bodies), resources)
        )
        kids.append(b"%d 0 R" % len(bodies))
    bodies[1] = b"<</Type/Pages/Kids[%s]/Count %d>>" % (b" ".join(kids), len(kids))
    output, table = bytearray(b"%PDF-1.4\n"), [b"0000000000 65535 f \n"]
    for number, body in enumerate(bodies, start=1):
        table.append(b"%010d 00000 n \n" % len(output))
        output += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    end = b"trailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (len(table), len(output))
    return bytes(output) + b"xref\n0 %d\n%s" % (len(table), b"".join(table)) + end


def scanned_document(count: int) -> bytes:
    """`count` A2 pages, each one embedded JPEG of 300 DPI."""
    columns, rows = A2_PIXELS
    size = (columns * 72 / 300, rows * 72 / 300)
    image = b"<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 8"
    objects = []
    for seed in range(count):
        data = newspaper(seed)
        objects.append(
            image % (columns, rows)
            + b"/Filter/DCTDecode/Length %d>>stream\n%s\nendstream" % (len(data), data)
        )
    content = b"q %.4f 0 0 %.4f 0 0 cm /I Do Q" % size
    return write_pdf(
        [(size, content, b"/XObject<</I %d 0 R>>" % (3 + index)) for index in range(count)], objects
    )


def born_digital_document(count: int) -> bytes:
    """`count` A4 pages of text and lines."""
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Times-Roman>>"
    return write_pdf([(A4_POINTS, article(seed), b"/Font<</F 3 0 R>>") for seed in range(count)], [font])


def plain_loop(path: Path, count: int, folder: Path) -> None:
    """(a): pdf2image as its documentation has it."""
    for number in range(1, count + 1):
        (image,) = pdf2image.convert_from_path(path, dpi=300, first_page=number, last_page=number)
        image.save(folder / f"{number}.jpg", quality=95)


def xargs(path: Path, count: int, folder: Path, workers: int) -> None:
    """(b): pdftocairo by xargs."""
    command = ["pdftocairo", "-jpeg", "-r", "300", "-f", "{}", "-l", "{}", str(path), str(folder / "p")]
    numbers = "\n".join(map(str, range(1, count + 1))).encode()
    subprocess.run(["xargs", "-P", str(workers), "-I{}", *command], input=numbers, check=True)


def read_task(task: tuple[Workspace, PdfOptions, list[Item], bool]) -> int:
    """One task of derlem: read pages, and normalize them on request."""
    workspace, options, items, normalized = task
    for item_id, result in read_pages(workspace, options, items):
        if not isinstance(result, Payload):
            raise RuntimeError(f"page {item_id}: {result}")
        if normalized:
            normalize(result.data)
    return len(items)


def ours(path: Path, count: int, options: PdfOptions, workers: int, normalized: bool) -> float:
    """Seconds of `workers` processes, without their start and the start of renderers."""
    workspace = Workspace(path.parent.parent.parent)
    items = expand(path.read_bytes(), Item("bench", path.name), options).pages
    limits = cut(count, None, workers, PAGES_PER_TASK)
    tasks = [(workspace, options, items[start:stop], normalized) for start, stop in pairwise(limits)]
    with get_context("spawn").Pool(workers) as pool:
        pool.map(read_task, [(workspace, options, items[:1], False)] * workers * 2, chunksize=1)
        return seconds(lambda: pool.map(read_task, tasks, chunksize=1))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rate(pages: int, work: Callable[[], float]) -> float:
    """Pages per second of work that returns the seconds it took."""
    return pages / work()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=int, default=16)
    parser.add_argument("--born-digital", type=int, default=48)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--loop-pages", type=int, default=6, help="pages that the plain loop is timed on")
    arguments = parser.parse_args()
    workers = arguments.workers
    documents = {
        "A2 scans": (arguments.scans, scanned_document(arguments.scans)),
        "born-digital A4": (arguments.born_digital, born_digital_document(arguments.born_digital)),
    }
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(Path(scratch) / "work")
        for name, (count, data) in documents.items():
            path = workspace.cached(keep(workspace, data))
            print(f"{name}: {count} pages, {len(data) / 1e6:.1f} MB, {workers} workers")
            compare(path, count, min(count, arguments.loop_pages), workers, scans=name == "A2 scans")
            sys.stdout.flush()


def compare(path: Path, count: int, loop: int, workers: int, *, scans: bool) -> None:
    """Print the best pages per second of each program, and the ratios of derlem to the others."""
    options = {
        f"rendered, {one}": PdfOptions.model_validate({"renderer": one, "extract": "never"})
        for one in RENDERERS
    }
    if scans:
        options["extracted"] = PdfOptions()
    with tempfile.TemporaryDirectory() as folder:
        contestants: dict[str, Callable[[], float]] = {
            LOOP: lambda: loop / seconds(partial(plain_loop, path, loop, Path(folder))),
            SHELL: lambda: count / seconds(partial(xargs, path, count, Path(folder), workers)),
        }
        for way, chosen in options.items():
            for normalized in (False, True):
                work = partial(ours, path, count, chosen, workers, normalized)
                contestants[way + " + normalize" * normalized] = partial(rate, count, work)
        rates = dict.fromkeys(contestants, 0.0)
        for _ in range(ROUNDS):
            for name, measure in contestants.items():
                rates[name] = max(rates[name], measure())
    for name, best in rates.items():
        each, both = best / workers / rates[LOOP], best / rates[SHELL]
        beside = f": {each:5.2f} x (a) per core, {both:5.2f} x (b)" if name not in (LOOP, SHELL) else ""
        print(f"  {name:32s}{best:7.2f} pages/s{beside}")


if __name__ == "__main__":
    main()
