"""Shares hosts between processes, so that all together ask a host for no more than its limits.

Two workers may have URLs of the same host: big hosts are cut up, redirects cross hosts, and sources overlap.
A host's limits are divided into slots, and a slot belongs to one process at a time. It is taken by a record
lock (POSIX `fcntl`) on one byte of a file that is never written, at a position that is a hash of the host's
name. The kernel drops the locks of a process that dies.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

MAX_SLOTS = 8
_WAITING = MAX_SLOTS
_STRIDE = 16


class HostLeases:
    """Slots of hosts among all processes that use the same file.

    Who has no slot holds the host's waiting place, which others see and do not overtake. POSIX locks are
    the process's: open one HostLeases per file in a process.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._waiting: set[str] = set()

    def acquire(self, host: str, slot: int) -> bool:
        """Acquire a slot of the host; False if another process has it."""
        return self._lock(_position(host) + slot)

    def release(self, host: str, slot: int) -> None:
        """Give a slot up."""
        self._unlock(_position(host) + slot)

    def wait(self, host: str) -> None:
        """Show other processes that this one has no slot of the host."""
        if host not in self._waiting and self._lock(_position(host) + _WAITING):
            self._waiting.add(host)

    def stop_waiting(self, host: str) -> None:
        """End the waiting."""
        if host in self._waiting:
            self._waiting.discard(host)
            self._unlock(_position(host) + _WAITING)

    def wanted(self, host: str) -> bool:
        """Whether another process waits for a slot of the host."""
        if host in self._waiting:
            return False
        at = _position(host) + _WAITING
        if self._lock(at):
            self._unlock(at)
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

    def _unlock(self, at: int) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, at)


def _position(host: str) -> int:
    """Where a host's bytes begin: a multiple of the stride below 2**62."""
    number = int.from_bytes(hashlib.sha256(host.encode()).digest()[:8], "big")
    return (number >> 2) // _STRIDE * _STRIDE
