"""The synchronization of a running command: a thread pushes every commit, under the lease of the copy."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from ..core.errors import DerlemError
from .bucket import BucketError
from .connection import Connection
from .lease import Lease
from .pusher import Pusher, copy_catalog
from .transfer import FileChanged

log = logging.getLogger("derlem.sync")

MAX_PAUSE = 15.0
END_SECONDS = 300.0
"""Time for which the last push of a command is repeated when the bucket cannot be reached."""


class NotPushed(DerlemError):
    """The command has ended, and its last commits are not in the bucket."""

    def __init__(self, place: object, why: BaseException | str) -> None:
        super().__init__(
            f"{place}: the last commits are local only: {why}. "
            "`derlem sync push` or the next command pushes them"
        )


class SyncSession:
    """Pushes commits while a command runs. Methods are called by the command's thread."""

    def __init__(self, connection: Connection, lease: Lease, pusher: Pusher) -> None:
        self._connection, self._lease, self._pusher = connection, lease, pusher
        self._paths: set[str] = set()
        self._everything = True  # an earlier command may have ended before its last push
        self._snapshot: Path | None = None
        self._state = threading.Condition()
        self._closing = self._extras = False
        self._deadline = 0.0
        self._error: DerlemError | None = None
        self._thread = threading.Thread(target=self._work, name="sync", daemon=True)
        self._thread.start()

    def begin(self, run: str) -> None:
        """The commits that follow belong to this run."""
        self._pusher.run = run

    def committed(self, segments: Iterable[str]) -> None:
        """Push committed segments ('source/000042'). Raises Fenced if another instance took over."""
        if self._error is not None:
            raise self._error
        copy = None
        if self._snapshot is None and self._pusher.snapshot_due:
            copy = copy_catalog(self._connection.workspace)
        with self._state:
            for name in segments:
                self._paths.update((f"store/{name}.parquet", f"store/{name}.tar"))
            self._snapshot = self._snapshot or copy
            self._state.notify()

    def close(self, *, interrupted: bool) -> None:
        """Push what is left, within the grace time if the command was interrupted, and end the thread.

        Raises Fenced and NotPushed, unless the command was interrupted.
        """
        grace = self._connection.options.grace_seconds if interrupted else END_SECONDS
        with self._state:
            self._everything = self._closing = True
            self._deadline = time.monotonic() + grace
            self._extras = not interrupted
            if interrupted:
                self._connection.stop.set()  # no waiting between attempts
            self._state.notify()
        self._thread.join(grace if interrupted else None)
        if self._snapshot is not None:
            self._snapshot.unlink(missing_ok=True)
        if self._thread.is_alive():
            log.warning("%s", NotPushed(self._connection.bucket.place, f"{grace:.0f} s were not enough"))
        elif self._error is not None:
            if not interrupted:
                raise self._error
            log.warning("%s", self._error)

    def _work(self) -> None:
        pause = 0.5
        while True:
            with self._state:
                while not (self._paths or self._everything or self._snapshot or self._closing):
                    self._state.wait()
                paths, everything, closing = sorted(self._paths), self._everything, self._closing
                self._paths, self._everything = set(), False
            try:
                self._lease.ensure()
                self._push(None if everything else paths, extras=closing and self._extras)
                pause = 0.5
                if closing:
                    return
            except (BucketError, FileChanged) as error:
                if closing and time.monotonic() >= self._deadline:
                    self._error = NotPushed(self._connection.bucket.place, error)
                    return
                log.warning("the push is repeated: %s", error)
                with self._state:
                    self._paths.update(paths)
                    self._everything |= everything or isinstance(error, FileChanged)
                    self._state.wait(pause)
                pause = min(MAX_PAUSE, 2 * pause)
            except DerlemError as error:
                log.error("%s", error)
                self._error = error
                return
            except Exception as error:
                log.exception("the push failed")
                self._error = NotPushed(self._connection.bucket.place, f"{type(error).__name__}: {error}")
                return

    def _push(self, paths: list[str] | None, *, extras: bool) -> None:
        started = time.monotonic()
        before = self._pusher.count.files
        if paths != []:
            self._pusher.push_segments(paths)
        if extras:  # the command has ended: no connection is open
            self._pusher.push_extras()
            if self._snapshot is None and (self._pusher.snapshot_due or self._pusher.snapshot_missing):
                self._snapshot = copy_catalog(self._connection.workspace)
        if self._snapshot is not None:
            self._pusher.push_snapshot(self._snapshot)
            self._snapshot.unlink(missing_ok=True)
            self._snapshot = None
        if pushed := self._pusher.count.files - before:
            log.info("pushed %d files in %.1f s", pushed, time.monotonic() - started)
