"""Makes a host the matter of one process at a time, so that its limits need no other coordination.

Workers are given whole hosts, but redirects cross hosts, and two sources may share one. A host is
taken by a record lock (POSIX `fcntl`) on one byte of a file that is never written: the byte's position
is a hash of the host's name. The kernel drops the locks of a process that dies.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path


class HostLeases:
    """Leases on hosts among all processes that use the same file.

    A host has two bytes: who holds the second waits for the first, and nobody else may overtake. POSIX
    locks are the process's: open one HostLeases per file in a process.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._waiting: set[str] = set()

    def acquire(self, host: str) -> bool:
        """Whether the host is ours now; if not, we are the next or behind somebody who is."""
        at = _position(host)
        if host not in self._waiting and not self._lock(at + 1):
            return False
        if self._lock(at):
            self._waiting.discard(host)
            self._unlock(at + 1)
            return True
        self._waiting.add(host)
        return False

    def release(self, host: str) -> None:
        """Give the host up, or the place behind it."""
        at = _position(host)
        self._waiting.discard(host)
        self._unlock(at, 2)

    def wanted(self, host: str) -> bool:
        """Whether another process waits for a host that is ours."""
        at = _position(host)
        if self._lock(at + 1):
            self._unlock(at + 1)
            return False
        return True

    def close(self) -> None:
        """Give everything up."""
        os.close(self._file)

    def _lock(self, at: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)
        except (BlockingIOError, PermissionError):  # POSIX leaves open which
            return False
        return True

    def _unlock(self, at: int, length: int = 1) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, length, at)


def _position(host: str) -> int:
    """An even offset below 2**62."""
    return int.from_bytes(hashlib.sha256(host.encode()).digest()[:8], "big") >> 3 << 1
