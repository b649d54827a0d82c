"""The process that reads pages: takes requests, answers page by page, and dies with its parent.

`leash.py` starts it in a session of its own, and kills the whole session when a page takes too long: no
hang or crash of a library, of poppler's programs or of pdf2image outlives the page's deadline or costs
another page.

A request is a JSON object with `path`, `pages`, `folder` and `options`. Answers are JSON objects: `begin`
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
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium

from ...catalog.models import Failure, Rejected
from ...catalog.status import Reason
from .document import open_document, page_size, pixels
from .drawing import Job, draw_with_pdf2image, draw_with_pdfium, version
from .extraction import Scans
from .inspection import Inspection, Tone, inspect, looks_gray, text_layer
from .options import PdfOptions


def main(descriptor: int) -> None:
    """Answer requests over the connection until its other end closes."""
    connection = Connection(descriptor)
    folders: list[str] = []
    threading.Thread(target=_die_with_parent, args=(folders,), daemon=True).start()
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            return
        folders[:] = [request["folder"]]
        answer = _Answer(connection, request)
        try:
            answer.pages(request["pages"])
        except Rejected as rejection:
            answer.say(rejected=rejection.reason, detail=rejection.detail)
        answer.say(done=True)


def _die_with_parent(folders: list[str]) -> None:
    """Standard input is a pipe that nobody writes to: it ends when the parent does, however that ends."""
    sys.stdin.buffer.read()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


class _Answer:
    """The answer to one request."""

    def __init__(self, connection: Connection, request: dict[str, Any]) -> None:
        self._connection = connection
        self._path = Path(request["path"])
        self._folder = Path(request["folder"])
        self._options = PdfOptions.model_validate(request["options"])
        self._run: list[Job] = []

    def say(self, **message: Any) -> None:
        """Send one message."""
        self._connection.send_bytes(json.dumps(message).encode())

    def pages(self, numbers: list[int]) -> None:
        """Read pages in the order given; Rejected if the document cannot be opened."""
        with open_document(self._path) as pdf, Scans(self._path) as scans:
            for number in numbers:
                self.say(begin=number)
                try:
                    self._page(pdf, scans, number)
                except Rejected as rejection:
                    self._result(number, {}, Failure(rejection.reason, rejection.detail))
                except pdfium.PdfiumError as error:
                    self._result(number, {}, Failure(Reason.PAGE_DAMAGED, str(error)))
            self._flush()

    def _page(self, pdf: pdfium.PdfDocument, scans: Scans, number: int) -> None:
        options = self._options
        width, height = page_size(pdf, number)
        columns, rows = pixels(width, options.dpi), pixels(height, options.dpi)
        page = pdf[number - 1]
        try:
            found = inspect(page)
            facts = _facts(page, found)
            scan = scans.embedded(page, found, options)
            if scan is not None:
                self._result(number, {**facts, "method": "extracted"}, scan)
                return
            if columns * rows > options.max_page_pixels:
                raise Rejected(Reason.PAGE_TOO_LARGE, f"{columns}x{rows} pixels at {options.dpi} DPI")
            gray = found.tone is Tone.GRAY or (found.tone is Tone.UNSURE and looks_gray(page))
            drawn = {"method": "rendered", "dpi": options.dpi, "renderer": version(options.renderer)}
            points = (round(width, 4), round(height, 4))  # pdfium has them in single precision
            job = Job(number, points, (columns, rows), gray, {**facts, **drawn})
            if options.renderer == "pdfium":
                self._result(number, job.facts, draw_with_pdfium(page, job, options.quality))
                return
        finally:
            page.close()
        if self._run and not job.continues(self._run):
            self._flush()
        self._run.append(job)

    def _flush(self) -> None:
        """Draw the pages that wait for pdf2image in one call."""
        run, self._run = self._run, []
        if run:
            results = draw_with_pdf2image(
                self._path, run, self._folder, self._options.quality, lambda number: self.say(begin=number)
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
    main(int(sys.argv[1]))
