"""The process that reads pages: takes requests, answers page by page, and dies with its parent.

`leash.py` starts it in a session of its own, and kills the whole session when a page takes too long: no
hang or crash of a library, of poppler's programs or of pdf2image outlives the page's deadline or costs
another page.

A request is a JSON object with `path`, `pages` and `options`. Answers are JSON objects: `begin`
names the page that is being worked on; `page` with `facts` and either `bytes`, whose image follows as a
message of its own, or a `reason`; `rejected` says that no page can be read; `done` is the last one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium

from ...catalog.models import Failure, Rejected
from ...catalog.status import Reason
from .document import open_document, page_size, pixels
from .drawing import Job, draw_with_pdf2image, draw_with_pdfium, poppler_agrees, version
from .extraction import Scans
from .inspection import Inspection, Tone, inspect, looks_gray, text_layer
from .pdf_options import PdfOptions


def main(descriptor: int, folder: Path) -> None:
    """Answer requests over the connection until its other end closes; `folder` is for what is drawn."""
    threading.Thread(target=_die_with_parent, args=(folder,), daemon=True).start()
    try:
        _serve(Connection(descriptor), folder)
    except (EOFError, ConnectionError):  # nobody asks any more, or waits for the answer
        shutil.rmtree(folder, ignore_errors=True)


def _serve(connection: Connection, folder: Path) -> None:
    document: _Document | None = None
    while True:
        request = json.loads(connection.recv_bytes())
        path = Path(request["path"])
        answer = _Answer(connection, folder, PdfOptions.model_validate(request["options"]))
        try:
            if document is None or document.path != path:  # the next pages are mostly of the same
                if document is not None:
                    document.close()
                    document = None
                document = _Document(path)
            answer.pages(document, request["pages"])
        except Rejected as rejection:
            answer.say(rejected=rejection.reason, detail=rejection.detail)
        answer.say(done=True)


def _die_with_parent(folder: Path) -> None:
    """Standard input is a pipe that nobody writes to: it ends when the parent does, however that ends."""
    os.read(0, 1)
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


class _Document:
    """An open document."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pdf = open_document(path)
        self.scans = Scans(path)

    @cached_property
    def renderer(self) -> str:
        """What draws this document where pdf2image is wanted: pdfium where their page numbers differ."""
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

    def say(self, **message: Any) -> None:
        """Send one message."""
        self._connection.send_bytes(json.dumps(message).encode())

    def pages(self, document: _Document, numbers: list[int]) -> None:
        """Read pages in the order given."""
        for number in numbers:
            self.say(begin=number)
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
        columns, rows = pixels(width, options.dpi), pixels(height, options.dpi)
        page = document.pdf[number - 1]
        try:
            found = inspect(page)
            facts = _facts(page, found)
            scan = document.scans.embedded(page, found, options)
            if scan is not None:
                self._result(number, {**facts, "method": "extracted"}, scan)
                return
            if columns * rows > options.max_page_pixels:
                raise Rejected(Reason.PAGE_TOO_LARGE, f"{columns}x{rows} pixels at {options.dpi} DPI")
            gray = found.tone is Tone.GRAY or (found.tone is Tone.UNSURE and looks_gray(page))
            renderer = document.renderer if options.renderer == "pdf2image" else "pdfium"
            drawn = {"method": "rendered", "dpi": options.dpi, "renderer": version(renderer)}
            job = Job(number, (width, height), (columns, rows), gray, {**facts, **drawn})
            if renderer == "pdfium":
                self._result(number, job.facts, draw_with_pdfium(page, job, options.quality))
                return
        finally:
            page.close()
        if self._run and not job.continues(self._run):
            self._flush(document)
        self._run.append(job)

    def _flush(self, document: _Document) -> None:
        """Draw the pages that wait for pdf2image in one call."""
        run, self._run = self._run, []
        if run:
            results = draw_with_pdf2image(
                document.path, run, self._folder, self._options.quality, lambda number: self.say(begin=number)
            )
            for job, result in results:
                self._result(job.number, job.facts, result)

    def _result(self, number: int, facts: dict[str, Any], result: bytes | Failure) -> None:
        if isinstance(result, Failure):
            self.say(page=number, facts=facts, reason=result.reason, detail=result.detail)
        else:
            self.say(page=number, facts=facts, bytes=len(result))
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
