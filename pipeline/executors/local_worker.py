"""Runs the worker process of the local executor: sets limits, receives tasks, sends messages."""

from __future__ import annotations

import gc
import logging
import resource
import signal
import threading
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.durable import disk_error
from ...core.errors import DerlemError
from ...core.log_context import forward_logs, log_context
from ...core.masking import remember_secret
from ...core.processes import exit_with_parent
from ..ingest_options import MINIMUM_MEMORY
from ..segment_writer import WrittenSegment
from ..tasks import Job, Task

if TYPE_CHECKING:
    from .local import SharedGuard

OPEN_FILES = 65_536
"""A worker's soft limit of open files and connections, bounded by the system's hard limit."""


class MemoryTooSmall(DerlemError):
    """The system's limit of address space is too small for a worker."""


class Channel:
    """The connection to the coordinator, for messages of several threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, *message: object) -> None:
        """Send a message; its first part is the kind."""
        with self._sending:
            self._connection.send(message)


def work(
    connection: Connection, guard: SharedGuard, job: Job, levels: Mapping[str, int], secrets: Iterable[str]
) -> None:
    """Receive tasks and send segments until the coordinator ends.

    Messages: ("segment", WrittenSegment, plan rows, peak), ("kept", counts), ("log", record), and at the end
    of each task ("done", peak), ("error", traceback) or ("fatal", message, exit code); peak is memory in
    bytes.
    `levels` are the levels of loggers, `secrets` the values to mask in details of items.
    """
    from ..worker import ingest_task  # with its decoders, which the coordinator does not need

    exit_with_parent()  # before the limit: without memory, the start of a thread never returns
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator handles interrupts
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _allow_open_files()
    gc.freeze()  # excludes imported objects from garbage collections
    too_small = limit_memory(int(job.ingest.memory_limit))

    channel = Channel(connection)

    def forward(record: logging.LogRecord) -> None:
        channel.send("log", record)

    def emit(segment: WrittenSegment, recorded: list[int]) -> None:
        channel.send("segment", segment, recorded, _peak_memory())

    def report(kept: Counter[str]) -> None:
        channel.send("kept", kept)

    for secret in secrets:
        remember_secret(secret)
    forward_logs(levels, {"run": job.run}, forward)

    while True:
        try:
            task: Task = connection.recv()
        except EOFError:
            return
        try:
            if too_small is not None:
                raise too_small
            with log_context(source=task.source.name):
                ingest_task(task, job, guard, emit, report)
        except DerlemError as error:
            channel.send("fatal", str(error), error.exit_code)
        except Exception as error:
            if disk := disk_error(error):
                channel.send("fatal", str(disk), disk.exit_code)
            else:
                channel.send("error", traceback.format_exc())
        else:
            channel.send("done", _peak_memory())


def _allow_open_files() -> None:
    """Raise the soft limit of open files, whose usual value of 1024 exists for programs that use select."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def limit_memory(memory: int) -> MemoryTooSmall | None:
    """Limit this process to `memory` bytes beyond its present address space, or to the system's limit.

    The limit applies to growth only, because libraries map more than a GiB of memory without using it.
    """
    base = mapped()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = base + memory if hard == resource.RLIM_INFINITY else min(hard, base + memory)
    if limit - base < MINIMUM_MEMORY:
        return MemoryTooSmall(
            f"the system limits a process to {limit / 2**20:.0f} MiB of address space (ulimit -v), of which "
            f"a worker has mapped {base / 2**20:.0f} at its start; items need {MINIMUM_MEMORY / 2**20:.0f}"
        )
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    return None


def mapped() -> int:
    """The size of this process's address space in bytes; 0 if the system does not report the size."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
