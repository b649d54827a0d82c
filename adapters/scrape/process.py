"""Starts a spider in a process of its own and reads what it finds; Scrapy is not imported here."""

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
    """The spider's process ended before its crawl did. What it had found was delivered; the next run goes on.

    `code` is the exit code, negative for a signal; `log` the last lines that it wrote.
    """

    def __init__(self, source: str, spider: str, code: int, log: list[str]) -> None:
        self.source, self.spider, self.code, self.log = source, spider, code, log
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        lines = "".join(f"\n  {line}" for line in log)
        super().__init__(f"the spider {spider!r} of source {source!r} {how}; what it found is kept{lines}")


class SpiderProcess:
    """A running spider, as a context manager: leaving it ends the process, whatever it is doing.

    The process ends itself when this one does, also by kill -9: its stdin closes.
    """

    def __init__(self, spec: CrawlSpec) -> None:
        self._spec = spec
        self._log: deque[str] = deque(maxlen=20)

    def __enter__(self) -> SpiderProcess:
        self._pipe, their_end = os.pipe()
        os.set_blocking(self._pipe, False)
        try:
            # What this process can import, the spider's can: sources name spiders by dotted path.
            path = os.pathsep.join(entry for entry in sys.path if entry)
            self._process = subprocess.Popen(
                [sys.executable, "-m", __package__, str(their_end)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[their_end],
                process_group=0,  # the parent passes an interrupt on
                env={**os.environ, "PYTHONPATH": path},
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(their_end)
        self._logging = Thread(target=self._pass_log_on, daemon=True)
        self._logging.start()
        assert self._process.stdin is not None  # asked for above
        try:
            self._process.stdin.write(self._spec.model_dump_json().encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            logger.debug("the spider's process ended before it read its specification")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()  # it has nothing to lose: its files are written whole
        self._process.wait()
        self._logging.join(5)
        for stream in (self._process.stdin, self._process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    logger.debug("the spider's process ended with its specification unread")
        os.close(self._pipe)

    def batches(self, size: int, seconds: float) -> Iterator[list[Record]]:
        """What the spider sends, as it comes: batches of at most `size`, after at most `seconds`.

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
        """Lines from the pipe, and None whenever none has come for a while; ends with the process."""
        held = b""
        while True:
            ready, _, _ = select.select([self._pipe], [], [], 0.2)
            if not ready:
                # A copy of the pipe's other end may live on in an unrelated fork: end of file is not awaited.
                if self._process.poll() is not None and not select.select([self._pipe], [], [], 0)[0]:
                    return
                yield None
                continue
            chunk = os.read(self._pipe, 1 << 16)
            if not chunk:
                return
            *lines, held = (held + chunk).split(b"\n")
            yield from lines

    def _pass_log_on(self) -> None:
        """Pass the log lines of the process (`LEVEL name: text`) on, and keep the last ones."""
        assert self._process.stderr is not None  # asked for above
        for line in self._process.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            self._log.append(text)
            level = text.partition(" ")[0]
            logger.log(logging.getLevelName(level) if level in _LEVELS else logging.DEBUG, "%s", text)
