"""Adds run, source, host and rate to log records, and sends the records of workers to their parent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from .subsystems import SUBSYSTEMS

LOGGER = "derlem"
"""The parent of the loggers of all subsystems."""

FIELDS = ("run", "source", "host", "rate")
"""Attributes of log records: id of the run, names of source and host, requests per second to the host."""

_current: dict[str, str] = {}


@contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """Give fields to all log records of this process during the block, also of other threads."""
    before = dict(_current)
    _current.update(fields)
    try:
        yield
    finally:
        _current.clear()
        _current.update(before)


def current_run() -> str | None:
    """The run of `log_context`, if there is one."""
    return _current.get("run")


def add_context(record: logging.LogRecord) -> bool:
    """Set the fields that the record does not have; a filter of handlers, which accepts every record."""
    for name in FIELDS:
        if getattr(record, name, None) is None:
            setattr(record, name, _current.get(name))
    return True


def log_levels() -> dict[str, int]:
    """The effective level of each subsystem in this process, for `forward_logs` in another process."""
    return {name: logging.getLogger(f"{LOGGER}.{name}").getEffectiveLevel() for name in SUBSYSTEMS}


def forward_logs(
    levels: Mapping[str, int], context: Mapping[str, str], send: Callable[[logging.LogRecord], None]
) -> None:
    """Send the log records of this process, a worker, to `send`; `context` are fields of all records."""
    _current.update(context)
    root = logging.getLogger(LOGGER)
    root.propagate = False
    root.handlers = [_Forwarding(send)]
    for name, level in levels.items():
        logging.getLogger(f"{LOGGER}.{name}").setLevel(level)


def log_forwarded(record: logging.LogRecord) -> None:
    """Log a record of another process by the handlers of this process."""
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


class _Forwarding(logging.Handler):
    """Completes records, so that they can be pickled, and sends them."""

    def __init__(self, send: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._send = send
        self.addFilter(add_context)

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record with its text in place of arguments and exceptions."""
        record.msg, record.args = record.getMessage(), None
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        try:
            self._send(record)
        except (BrokenPipeError, ConnectionResetError):  # the receiver has ended, and so does this process
            self.setLevel(logging.CRITICAL + 1)
