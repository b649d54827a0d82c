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
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium

from ...catalog.models import Failure, Rejected
from ...catalog.status import Reason
from ...core.processes import exit_with_parent
from .document import open_document, page_size, pixels
from .drawing import Job, draw_with_pdf2image, draw_with_pdfium, poppler_agrees, version
from .extraction import Scans
from .inspection import Inspection, Tone, inspect, looks_gray, text_layer
from .pdf_options import PdfOptions


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
        self.scans = Scans(path)

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
            self.send(begin=number)
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
            for job, result in results:
                self._result(job.number, job.facts, result)

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
