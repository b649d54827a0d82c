"""The process that reads pages: takes requests, answers page by page, and exits with its parent.

`renderer_client.py` starts it in a session of its own, and kills the whole session when a page takes too
long: no hang or crash of a library, of poppler's programs or of pdf2image outlives the page's deadline or
fails another page.

A request is a JSON object with `path`, `pages` and `options`. Answers are JSON objects: `begin` names the
page being read; `page` has `facts` and either `bytes`, in which case the image follows as a message of its
own, or a `reason`; `rejected` means that no page can be read; `done` is the last message.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium

from ...catalog.models import Failure, Rejected
from ...catalog.status import Reason
from ...core.processes import exit_with_parent
from .document import open_document, page_size, pixels
from .drawing import (
    BAD_FONT,
    BAD_SCAN,
    Job,
    draw_with_pdf2image,
    draw_with_pdfium,
    has_color,
    is_uniform,
    poppler_agrees,
    poppler_shows_color,
    shows_more,
    version,
)
from .extraction import Scans
from .inspection import Inspection, Tone, has_visible_text, inspect, looks_colored, looks_gray, text_layer
from .pdf_options import PdfOptions
from .scan_check import check_scan
from .user_unit import UserUnits


def main(descriptor: int, folder: Path) -> None:
    """Answer requests over the connection until its other end closes; rendered files go to `folder`."""

    def remove_all() -> None:
        """End the programs that this process started, too: they are in its group."""
        shutil.rmtree(folder, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)

    exit_with_parent(remove_all)
    try:
        _serve(Connection(descriptor), folder)
    except (EOFError, ConnectionError):  # the client is gone
        shutil.rmtree(folder, ignore_errors=True)


def _serve(connection: Connection, folder: Path) -> None:
    document: _Document | None = None
    while True:
        request = json.loads(connection.recv_bytes())
        path = Path(request["path"])
        answer = _Answer(connection, folder, PdfOptions.model_validate(request["options"]))
        try:
            if document is None or document.path != path:  # consecutive requests mostly concern one document
                if document is not None:
                    document.close()
                    document = None
                document = _Document(path)
            answer.pages(document, request["pages"])
        except Rejected as rejection:
            answer.send(rejected=rejection.reason, detail=rejection.detail)
        answer.send(done=True)


class _Document:
    """An open document."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pdf = open_document(path)
        self.pdf.init_forms()  # before any page is loaded: pdfium then draws form fields
        self.scans = Scans(path)
        self.units = UserUnits(self.pdf, self.scans.file)

    @cached_property
    def renderer(self) -> str:
        """The renderer in place of pdf2image: pdfium where the two number the pages differently."""
        return "pdf2image" if poppler_agrees(self.path, len(self.pdf)) else "pdfium"

    def close(self) -> None:
        """Release the file."""
        self.scans.close()
        self.pdf.close()


class _Answer:
    """The answer to one request."""

    def __init__(self, connection: Connection, folder: Path, options: PdfOptions) -> None:
        self._connection, self._folder, self._options = connection, folder, options
        self._run: list[Job] = []

    def send(self, **message: Any) -> None:
        """Send one message."""
        self._connection.send_bytes(json.dumps(message).encode())

    def pages(self, document: _Document, numbers: list[int]) -> None:
        """Read pages in the order given."""
        for number in numbers:
            self._begin(number)
            try:
                self._page(document, number)
            except Rejected as rejection:
                self._result(number, {}, Failure(rejection.reason, rejection.detail))
            except pdfium.PdfiumError as error:
                self._result(number, {}, Failure(Reason.PAGE_DAMAGED, str(error)))
        self._flush(document)

    def _page(self, document: _Document, number: int) -> None:
        options = self._options
        width, height = page_size(document.pdf, number)
        unit = document.units.of(number)
        columns, rows = (pixels(side * unit, options.dpi) for side in (width, height))
        page = document.pdf[number - 1]
        try:
            found = inspect(page, unit)
            facts = _facts(page, found)
            scan = document.scans.embedded(page, found, options)
            if scan is not None:
                self._result(number, {**facts, "method": "extracted"}, scan)
                return
            if found.scan is not None:
                check_scan(page, found.scan.handle)
            if columns * rows > options.max_page_pixels:
                raise Rejected(Reason.PAGE_TOO_LARGE, f"{columns}x{rows} pixels at {options.dpi} DPI")
            gray = found.tone is Tone.GRAY or (found.tone is Tone.UNSURE and looks_gray(page))
            renderer = document.renderer if options.renderer == "pdf2image" else "pdfium"
            drawn = {"method": "rendered", "dpi": options.dpi, "renderer": version(renderer)}
            facts = {**facts, **drawn}
            points, size = (width, height), (columns, rows)
            job = Job(number, points, size, gray, facts, found.is_marked, found.scan is not None)
            if gray and found.is_tinted and renderer == "pdf2image":
                job = replace(job, gray=not poppler_shows_color(document.path, job))
            if renderer == "pdfium":
                self._finish(document, job, draw_with_pdfium(page, job, options.quality), "")
                return
        finally:
            page.close()
        if self._run and not job.continues(self._run):
            self._flush(document)
        self._run.append(job)

    def _flush(self, document: _Document) -> None:
        """Draw the pages collected for pdf2image in one call."""
        run, self._run = self._run, []
        if run:
            results = draw_with_pdf2image(
                document.path,
                run,
                self._folder,
                self._options.quality,
                lambda number: self.send(begin=number),
            )
            for job, data, complaint in results:
                missing = Failure(Reason.PAGE_DAMAGED, complaint or "poppler draws nothing for this page")
                self._finish(document, job, missing if data is None else data, complaint)

    def _finish(self, document: _Document, job: Job, drawn: bytes | Failure, complaint: str) -> None:
        """Send a drawn page, unless something is missing from it that the other renderer may draw."""
        if isinstance(drawn, bytes):
            if job.is_scan and BAD_SCAN.search(complaint):
                drawn = Failure(Reason.PAGE_DAMAGED, f"the page's scan: {complaint}")
            elif BAD_FONT.search(complaint) or (job.is_marked and is_uniform(drawn)):
                job, drawn = self._drawn_otherwise(document, job, drawn)
            elif not job.gray and not has_color(drawn):
                job, drawn = self._drawn_in_color(document, job, drawn)
        self._result(job.number, job.facts, drawn)

    def _drawn_otherwise(self, document: _Document, job: Job, drawn: bytes) -> tuple[Job, bytes | Failure]:
        """The page by the other renderer, if there is more on it; Failure if both lose its text."""
        quality, other = self._options.quality, None
        page = document.pdf[job.number - 1]
        try:
            if not job.facts["renderer"].startswith("pdfium"):
                other, renderer = draw_with_pdfium(page, job, quality), "pdfium"
            elif shutil.which("pdftocairo") and shutil.which("pdfinfo") and document.renderer == "pdf2image":
                ((_, other, _),) = draw_with_pdf2image(
                    document.path, [job], self._folder, quality, self._begin
                )
                renderer = "pdf2image"
            if isinstance(other, bytes) and shows_more(other, drawn):
                return replace(job, facts={**job.facts, "renderer": version(renderer)}), other
            if is_uniform(drawn) and has_visible_text(page):
                return job, Failure(Reason.PAGE_DAMAGED, "no renderer draws the page's text")
        finally:
            page.close()
        return job, drawn

    def _drawn_in_color(self, document: _Document, job: Job, drawn: bytes) -> tuple[Job, bytes | Failure]:
        """The page by pdfium, if that draws colors that poppler leaves out."""
        if job.facts["renderer"].startswith("pdfium"):
            return job, drawn
        page = document.pdf[job.number - 1]
        try:
            if looks_colored(page):
                facts = {**job.facts, "renderer": version("pdfium")}
                return replace(job, facts=facts), draw_with_pdfium(page, job, self._options.quality)
        finally:
            page.close()
        return job, drawn

    def _begin(self, number: int) -> None:
        self.send(begin=number)

    def _result(self, number: int, facts: dict[str, Any], result: bytes | Failure) -> None:
        if isinstance(result, Failure):
            self.send(page=number, facts=facts, reason=result.reason, detail=result.detail)
        else:
            self.send(page=number, facts=facts, bytes=len(result))
            self._connection.send_bytes(result)


def _facts(page: pdfium.PdfPage, found: Inspection) -> dict[str, Any]:
    facts: dict[str, Any] = {"rotation": page.get_rotation()}
    if found.native_dpi is not None:
        facts["native_dpi"] = [round(value, 1) for value in found.native_dpi]
    text = text_layer(page)
    if text:
        facts["text"] = text
    return facts


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
