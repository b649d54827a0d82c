"""Configures the loggers of the subsystems, which write to stderr and to `logs/<subsystem>.log`."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path

from ..core.subsystems import SUBSYSTEMS

ROOT = "derlem"


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time (UTC), level, logger, message, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _LateFile(logging.FileHandler):
    """A log file that is created, with its folder, at the first line."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", delay=True)

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; an error of opening the file is handled as an error of writing."""
        try:
            if self.stream is None:
                self.stream = self._open()
        except OSError:
            self.handleError(record)
            return
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Close a log that cannot be written, with a warning on stderr; the command continues."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self.setLevel(logging.CRITICAL + 1)
        with suppress(OSError):  # buffered lines cannot be written either
            self.close()
        print(f"WARNING {self.baseFilename}: logging stopped: {error.strerror}", file=sys.stderr, flush=True)


def configure_logs(
    folder: Path | None, *, level: str, levels: Mapping[str, str], as_json: bool, verbose: bool
) -> None:
    """Configure the loggers of this process; with `folder` None no files are written.

    stderr receives warnings and errors, with `verbose` all records of the levels; files receive all records.
    """
    text = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    formatter = JsonFormatter() if as_json else logging.Formatter(text)
    root = logging.getLogger(ROOT)
    root.setLevel(level)
    root.propagate = False
    for handler in list(root.handlers):
        root.removeHandler(handler)
    screen = logging.StreamHandler()
    screen.setFormatter(formatter if as_json else logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    if not verbose:
        screen.setLevel(logging.WARNING)
    root.addHandler(screen)
    for subsystem in SUBSYSTEMS:
        logger = logging.getLogger(f"{ROOT}.{subsystem}")
        logger.setLevel(levels.get(subsystem, logging.NOTSET))
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        if folder is not None:
            file = _LateFile(folder / f"{subsystem}.log")
            file.setFormatter(formatter)
            logger.addHandler(file)
