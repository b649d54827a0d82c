"""One read-only connection that the threads of a server share, without delaying the commits of a run.

Connections of one process to the same file share one database and its configuration, so that a server cannot
open and restrict a connection per request. The threads use cursors of one connection. While a run holds the
workspace's lock, the connection is closed as soon as no thread uses it; after MAX_HOLD seconds of requests
without a pause, new requests wait until the connection has been closed for GAP seconds. Without a run the
connection stays open between requests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import duckdb

from ..core.errors import CatalogBusy, CatalogMissing, DerlemError
from ..core.workspace import Workspace
from .connection import READ_WAIT, check_version, connect, reporting_damage
from .user_queries import restrict

MAX_HOLD = 2.0
"""Seconds after which no further query starts on an open connection while a run may wait for the file."""
GAP = 0.3
"""Seconds in which a waiting run can open the catalog; a run tries every 0.2 s."""
IDLE = 30.0
"""Seconds after which an unused connection is closed without a run."""
TICK = 0.25
"""Seconds between checks for a run, by a thread that lives as long as the connection."""


class QueryTimeout(DerlemError):
    """A query took longer than its limit of `seconds` and was interrupted."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"the query took longer than {seconds:g} s and was interrupted")


class SharedReader:
    """The shared connection; thread-safe. `memory` is DuckDB's limit, such as '1GB'.

    `run_active` returns whether another process may wait to write the catalog.
    """

    def __init__(self, workspace: Workspace, memory: str, run_active: Callable[[], bool]) -> None:
        self._workspace = workspace
        self._memory = memory
        self._run_active = run_active
        self._changed = threading.Condition()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._users = 0
        self._used = self._resume_at = 0.0
        self._since: float | None = None  # the first request after a pause

    @contextmanager
    def cursor(self, seconds: float) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for one thread; its queries together may take `seconds`.

        Raises QueryTimeout, CatalogBusy, CatalogMissing, CatalogVersionError and CatalogUnreadable.
        """
        with reporting_damage(self._workspace):
            cursor = self._acquire()
            done = threading.Event()
            threading.Thread(
                target=_interrupt_after, args=(cursor, seconds, done), name="derlem-timer", daemon=True
            ).start()
            try:
                yield cursor
            except duckdb.InterruptException as error:
                raise QueryTimeout(seconds) from error
            finally:
                done.set()
                cursor.close()
                self._release()

    def close(self) -> None:
        """Close the connection; the object can be used again."""
        with self._changed:
            self._changed.wait_for(lambda: self._users == 0, READ_WAIT)
            self._close()

    def _acquire(self) -> duckdb.DuckDBPyConnection:
        deadline = time.monotonic() + READ_WAIT
        with self._changed:
            while (pause := self._pause()) is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise CatalogBusy(self._workspace.catalog, READ_WAIT, "other requests")
                self._changed.wait(min(pause, left))
            if self._connection is None:
                self._open()
            assert self._connection is not None
            self._users += 1
            return self._connection.cursor()

    def _pause(self) -> float | None:
        """Seconds for which a new request waits before it looks again; None if it can start now."""
        now = time.monotonic()
        if now < self._resume_at:
            return self._resume_at - now
        if self._since is None or now - self._since <= MAX_HOLD or not self._run_active():
            return None
        if self._users:
            return READ_WAIT
        self._close()
        self._since, self._resume_at = None, now + GAP
        return GAP

    def _release(self) -> None:
        with self._changed:
            self._users -= 1
            self._used = time.monotonic()
            if self._users == 0 and self._run_active():
                self._close()
            self._changed.notify_all()

    def _open(self) -> None:
        if not self._workspace.catalog.exists():
            raise CatalogMissing(self._workspace.catalog)
        connection = connect(self._workspace, read_only=True, wait=READ_WAIT)
        try:
            check_version(connection, self._workspace.catalog)
            restrict(connection, (f"SET memory_limit = '{self._memory}'",))
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._used = time.monotonic()
        self._since = self._used if self._since is None else self._since
        threading.Thread(
            target=self._close_when_due, args=(connection,), name="derlem-reader", daemon=True
        ).start()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _close_when_due(self, connection: duckdb.DuckDBPyConnection) -> None:
        while True:
            with self._changed:
                if self._connection is not connection:
                    return
                if self._users == 0 and (time.monotonic() - self._used > IDLE or self._run_active()):
                    self._close()
                    self._since = None
                    return
            time.sleep(TICK)


def _interrupt_after(cursor: duckdb.DuckDBPyConnection, seconds: float, done: threading.Event) -> None:
    """Interrupt the queries of a cursor until `done`: a single interrupt may fall between two queries."""
    pause = seconds
    while not done.wait(pause):
        cursor.interrupt()
        pause = 0.05
