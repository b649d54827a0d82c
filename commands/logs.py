"""Configures the loggers of the subsystems, which write to stderr and to `logs/<subsystem>.log`."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..core.log_context import FIELDS, LOGGER, add_context
from ..core.masking import mask
from ..core.subsystems import SUBSYSTEMS
from .shared import printable, to_json

DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Retention:
    """The limits of log files: a file of `max_bytes` is renamed, and `files` renamed files are kept.

    Renamed files that were last written more than `days` days ago are removed.
    """

    max_bytes: int
    files: int
    days: float


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time (UTC), level, logger, message, run, and further fields if known."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": mask(record.getMessage()),
            "run": None,
        }
        line |= _fields(record)
        if trace := _traceback(self, record):
            line["traceback"] = trace
        return to_json(line)


class TextFormatter(logging.Formatter):
    """A line with time (UTC), level, logger and message, then the run, source, host and rate as NAME=VALUE.

    Only a traceback has several lines.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, without control characters."""
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        fields = "".join(f" {name}={value}" for name, value in ({"run": "-"} | _fields(record)).items())
        line = f"{at}Z {record.levelname:7} {record.name}: {_message(record)}{printable(fields)}"
        trace = _traceback(self, record)
        return f"{line}\n{printable(trace)}" if trace else line


class ScreenFormatter(logging.Formatter):
    """A line for a person: level, logger, message, and where it happened."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, without control characters."""
        fields = {name: value for name, value in _fields(record).items() if name != "run"}
        where = " (" + ", ".join(f"{name} {value}" for name, value in fields.items()) + ")" if fields else ""
        line = f"{record.levelname} {record.name}: {_message(record)}{printable(where)}"
        trace = _traceback(self, record)
        return f"{line}\n{printable(trace)}" if trace else line


def _message(record: logging.LogRecord) -> str:
    return printable(mask(record.getMessage())).replace("\n", "\\n")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    values = {name: getattr(record, name, None) for name in FIELDS}
    return {name: value for name, value in values.items() if value is not None}


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    own = record.exc_text or (formatter.formatException(record.exc_info) if record.exc_info else "")
    trace: str = own or getattr(record, "trace", "")  # `trace`: the traceback of another process
    return mask(trace.rstrip())


class LogFile(logging.Handler):
    """A log file that is created, with its folder, at the first line. Its owner alone can read it.

    A line is one write to the end of the file, so that lines of several processes are never mixed. A file of
    the maximum size is renamed to `NAME.1`, and `NAME.1` to `NAME.2`.
    """

    def __init__(self, path: Path, retention: Retention) -> None:
        super().__init__()
        self._path, self._retention = path, retention
        self._file: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, in a new file if the present one is full.

        An error before the first run of a workspace makes no files.
        """
        if getattr(record, "before_run", False) and not self._path.parent.exists():
            return
        try:
            line = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
            if self._file is None:
                self._open()
            assert self._file is not None
            self._rotate(len(line))
            os.write(self._file, line)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Close a log that cannot be written, with a warning on stderr; the command continues."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self.setLevel(logging.CRITICAL + 1)
        with suppress(OSError):
            self.close()
        print(f"WARNING {self._path}: logging stopped: {error.strerror}", file=sys.stderr, flush=True)

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(self._path, flags, 0o600)

    def _rotate(self, size: int) -> None:
        """Rename a file that the next line of `size` bytes would fill; another process may do so, too."""
        assert self._file is not None
        found = os.fstat(self._file)
        if not found.st_size or found.st_size + size <= self._retention.max_bytes:
            return
        fcntl.flock(self._file, fcntl.LOCK_EX)  # released when the file is closed
        if self._path.exists() and os.path.samestat(found, self._path.stat()):
            for number in range(self._retention.files, 0, -1):
                source = self._numbered(number - 1)
                if source.exists():
                    source.replace(self._numbered(number))
            if not self._retention.files:
                self._path.unlink()
        os.close(self._file)
        self._file = None
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


def configure_logs(
    folder: Path | None,
    *,
    level: str,
    levels: Mapping[str, str],
    as_json: bool,
    verbose: bool,
    retention: Retention,
) -> None:
    """Configure the loggers of this process; with `folder` None no files are written.

    stderr receives warnings and errors, with `verbose` all records of the levels; files receive all records.
    Renamed files beyond the limits of `retention` are removed.
    """
    root = logging.getLogger(LOGGER)
    root.setLevel(level)
    root.propagate = False
    for handler in list(root.handlers):
        root.removeHandler(handler)
    screen = logging.StreamHandler()
    screen.setFormatter(JsonFormatter() if as_json else ScreenFormatter())
    if not verbose:
        screen.setLevel(logging.WARNING)
    screen.addFilter(add_context)
    screen.addFilter(lambda record: not getattr(record, "shown", False))  # the command shows the error itself
    root.addHandler(screen)
    for subsystem in SUBSYSTEMS:
        logger = logging.getLogger(f"{LOGGER}.{subsystem}")
        logger.setLevel(levels.get(subsystem, logging.NOTSET))
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        if folder is not None:
            file = LogFile(folder / f"{subsystem}.log", retention)
            file.setFormatter(JsonFormatter() if as_json else TextFormatter())
            file.addFilter(add_context)
            logger.addHandler(file)
    if folder is not None:
        _prune(folder, retention)


def _prune(folder: Path, retention: Retention) -> None:
    """Remove renamed log files that are too old, or beyond the number of files."""
    oldest = time.time() - retention.days * DAY
    for path in folder.glob("*.log.*"):
        number = path.name.rpartition(".")[2]
        if not number.isdigit():
            continue
        with suppress(OSError):  # another process removed the file, or the folder is not ours to change
            if int(number) > retention.files or path.stat().st_mtime < oldest:
                path.unlink()
