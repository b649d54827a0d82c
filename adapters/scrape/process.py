"""Starts a spider in its own process and reads its records; this module does not import Scrapy."""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from threading import Thread
from types import TracebackType
from typing import Any

from ...core.errors import DerlemError
from .rules import CrawlSpec

logger = logging.getLogger("derlem.scrape")

Record = dict[str, Any]

_LEVELS = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}


class CrawlFailed(DerlemError):
    """The spider's process ended before its crawl. All records were delivered; the next run resumes.

    `code` is the exit code, negative for a signal; `log` the last lines of its log.
    """

    def __init__(self, source: str, spider: str, code: int, log: list[str]) -> None:
        self.source, self.spider, self.code, self.log = source, spider, code, log
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        lines = "".join(f"\n  {line}" for line in log)
        super().__init__(f"the spider {spider!r} of source {source!r} {how}; its items are kept{lines}")


class SpiderProcess:
    """A context manager that runs a spider; its exit kills the process.

    The spider's process also ends when this process ends (even by kill -9), since its stdin closes.
    """

    def __init__(self, spec: CrawlSpec) -> None:
        self._spec = spec
        self._log: deque[str] = deque(maxlen=20)

    def __enter__(self) -> SpiderProcess:
        self._pipe, write_end = os.pipe()
        os.set_blocking(self._pipe, False)
        try:
            # The spider's process needs the same import path: sources name spiders by dotted path.
            path = os.pathsep.join(entry for entry in sys.path if entry)
            self._process = subprocess.Popen(
                [sys.executable, "-m", __package__, str(write_end)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[write_end],
                process_group=0,  # the parent handles an interrupt
                env={**os.environ, "PYTHONPATH": path},
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(write_end)
        self._logging = Thread(target=self._forward_log, daemon=True)
        self._logging.start()
        assert self._process.stdin is not None  # stdin=PIPE above
        try:
            self._process.stdin.write(self._spec.model_dump_json().encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            logger.debug("the spider's process ended before reading its specification")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()  # safe: the process writes its files atomically
        self._process.wait()
        self._logging.join(5)
        for stream in (self._process.stdin, self._process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    logger.debug("the spider's process ended without reading its specification")
        os.close(self._pipe)

    def batches(self, size: int, seconds: float) -> Iterator[list[Record]]:
        """Yield the spider's records as they arrive: batches of at most `size`, after at most `seconds`.

        Raises CrawlFailed, after the last batch, if the process failed.
        """
        batch: list[Record] = []
        since = time.monotonic()
        for line in self._lines():
            if line is not None:
                batch.append(json.loads(line))
            if not batch:
                since = time.monotonic()
            elif len(batch) >= size or time.monotonic() - since >= seconds:
                yield batch
                batch, since = [], time.monotonic()
        if batch:
            yield batch
        code = self._process.wait()
        if code:
            self._logging.join(5)
            raise CrawlFailed(self._spec.source, self._spec.spider, code, list(self._log))

    def _lines(self) -> Iterator[bytes | None]:
        """Yield lines from the pipe, and None every 0.2 s without data; ends with the process."""
        held = b""
        while True:
            ready, _, _ = select.select([self._pipe], [], [], 0.2)
            if not ready:
                # An unrelated fork may hold a copy of the write end, so end of file may never come.
                if self._process.poll() is not None and not select.select([self._pipe], [], [], 0)[0]:
                    return
                yield None
                continue
            chunk = os.read(self._pipe, 1 << 16)
            if not chunk:
                return
            *lines, held = (held + chunk).split(b"\n")
            yield from lines

    def _forward_log(self) -> None:
        """Forward the log lines of the process (`LEVEL name: text`), and keep the last 20."""
        assert self._process.stderr is not None  # stderr=PIPE above
        for line in self._process.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            self._log.append(text)
            level = text.partition(" ")[0]
            logger.log(logging.getLevelName(level) if level in _LEVELS else logging.DEBUG, "%s", text)
