"""The client of the process that reads pages: starts it, enforces a deadline per page, ends it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from ...catalog.status import Reason
from ...core.temporary import TemporaryFolder
from .pdf_options import PdfOptions

START_SECONDS = 30.0
"""How long the process may take to start, on top of the first page's deadline."""
_HEAP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
"""glibc keeps a page's freed pixels, up to 256 MiB, for the next page.

By default it returns blocks of that size to the kernel, which then clears the memory of every page: a third
of poppler's time on a page of text at 300 DPI.
"""


@dataclass(slots=True)
class Answer:
    """The result of reading a page: its image, or the reason for its absence, and facts about the page."""

    number: int
    facts: dict[str, Any]
    data: bytes | None
    reason: Reason | None = None
    detail: str = ""


class RendererClient:
    """Reads pages in a process of its own, started at the first request and again after each loss.

    The process ends when this object is closed and, because it watches its standard input, when the
    parent process ends in any way.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: TemporaryFolder | None = None

    def read(self, path: Path, numbers: list[int], options: PdfOptions) -> Iterator[Answer]:
        """Yield an answer for each of the document's pages, in the order in which they are finished.

        A page that exceeds `options.page_deadline`, or ends the process, fails; the other pages are
        requested again. All pages fail if opening the document is what takes too long or crashes.
        """
        waiting = list(numbers)
        while waiting:
            current: int | None = None
            try:
                self._request(path, waiting, options)
                max_wait = options.page_deadline + START_SECONDS
                while (message := self._receive(max_wait)) is not None:
                    max_wait = options.page_deadline
                    if "begin" in message:
                        current = message["begin"]
                    elif "page" in message:
                        answer = self._answer(message)
                        waiting.remove(answer.number)
                        yield answer
                    elif "rejected" in message:
                        reason = Reason(message["rejected"])
                        yield from (Answer(number, {}, None, reason, message["detail"]) for number in waiting)
                        waiting.clear()
            except TimeoutError:
                self.close()
                detail = f"took longer than `pdf.page_deadline`, {options.page_deadline:g} s"
                yield from _fail(waiting, current, Reason.RENDERER_TIMEOUT, detail)
            except (EOFError, ConnectionError):
                detail = f"the renderer ended with {self.close()}"
                yield from _fail(waiting, current, Reason.RENDERER_CRASH, detail)
            except BaseException:  # remaining answers must not reach the next request
                self.close()
                raise

    def close(self) -> int | None:
        """End the process and its children; return its exit status, None if it was not running."""
        status = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            status = self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._connection.close()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        return status

    def _start(self) -> None:
        self._folder = TemporaryFolder("pages")
        folder = str(self._folder.path)
        self._connection, theirs = Pipe()
        package = __package__ or ""
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    f"{package}.renderer_process",
                    str(theirs.fileno()),
                    folder,
                ],
                stdin=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env={**_HEAP, **os.environ},
                start_new_session=True,
            )

    def _request(self, path: Path, numbers: list[int], options: PdfOptions) -> None:
        if self._process is None:
            self._start()
        request = {
            "path": str(path),
            "pages": numbers,
            "options": options.model_dump(mode="json"),
        }
        self._connection.send_bytes(json.dumps(request).encode())

    def _receive(self, max_wait: float) -> dict[str, Any] | None:
        """Return the next message, None when the request is done."""
        if not self._connection.poll(max_wait):
            raise TimeoutError
        message: dict[str, Any] = json.loads(self._connection.recv_bytes())
        return None if "done" in message else message

    def _answer(self, message: dict[str, Any]) -> Answer:
        number, facts = message["page"], message["facts"]
        if "reason" in message:
            return Answer(number, facts, None, Reason(message["reason"]), message["detail"])
        return Answer(number, facts, self._connection.recv_bytes())


def _fail(waiting: list[int], current: int | None, reason: Reason, detail: str) -> Iterator[Answer]:
    """Fail the page that the lost process worked on; all waiting pages, if it had begun none."""
    if current is not None and current not in waiting:  # lost between two pages
        current = waiting[0] if waiting else None
    for number in list(waiting) if current is None else [current]:
        waiting.remove(number)
        yield Answer(number, {}, None, reason, detail)
