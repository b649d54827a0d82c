"""Temporary folders outside of workspaces, which later commands remove if a kill left them."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, get_args

Kind = Literal["audit", "dry-run", "pages", "thumbnails"]

MINIMUM_AGE = 60.0
"""Seconds after which a folder without an owner is removed: its owner may not have locked it before."""


class TemporaryFolder:
    """A folder that exists until `cleanup`, or the end of the object.

    After a kill of the process, `remove_abandoned` removes the folder.

    The process holds a lock on the folder, which the system releases at the end of the process.
    """

    def __init__(self, kind: Kind) -> None:
        """Create the folder; OSError where that fails."""
        self.path = Path(tempfile.mkdtemp(prefix=_prefix(kind)))
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(handle, fcntl.LOCK_SH)
        self._finalizer = weakref.finalize(self, _release, self.path, handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cleanup()

    def cleanup(self) -> None:
        """Remove the folder; without effect the second time."""
        self._finalizer()


def remove_abandoned() -> int:
    """Remove this user's folders whose process has ended; return their number."""
    removed = 0
    for kind in get_args(Kind):
        for path in Path(tempfile.gettempdir()).glob(f"{_prefix(kind)}*"):
            with suppress(OSError):  # removed meanwhile, or no folder
                handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    found = os.fstat(handle)
                    if found.st_uid == os.geteuid() and time.time() - found.st_mtime >= MINIMUM_AGE:
                        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: in use
                        shutil.rmtree(path)
                        removed += 1
                finally:
                    os.close(handle)
    return removed


def _release(path: Path, handle: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(handle)


def _prefix(kind: str) -> str:
    return f"derlem-{kind}-"
