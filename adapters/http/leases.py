"""Shares hosts between processes, so that all processes together stay within a host's limits.

Several workers may have URLs of one host: large hosts are split, redirects lead to other hosts, and sources
overlap. A host's limits are divided into slots, and a slot belongs to one process at a time. A process
acquires a slot by a record lock (POSIX `fcntl`) on one byte of a file that is never written, at a position
derived from a hash of the host's name. The kernel releases the locks of a process that ends.
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

    A process without a slot locks the host's waiting byte, so that other processes release a slot. POSIX
    locks belong to the process: open one HostLeases per file in a process.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._waiting: set[str] = set()

    def acquire(self, host: str, slot: int) -> bool:
        """Acquire a slot of the host; False if another process has it."""
        return self._lock(_position(host) + slot)

    def release(self, host: str, slot: int) -> None:
        """Release a slot."""
        self._unlock(_position(host) + slot)

    def wait(self, host: str) -> None:
        """Mark this process as waiting for a slot of the host, visible to other processes."""
        if host not in self._waiting and self._lock(_position(host) + _WAITING):
            self._waiting.add(host)

    def stop_waiting(self, host: str) -> None:
        """Clear the mark of `wait`."""
        if host in self._waiting:
            self._waiting.discard(host)
            self._unlock(_position(host) + _WAITING)

    def wanted(self, host: str) -> bool:
        """Return whether another process waits for a slot of the host."""
        if host in self._waiting:
            return False
        at = _position(host) + _WAITING
        if self._lock(at):
            self._unlock(at)
            return False
        return True

    def close(self) -> None:
        """Release all slots and close the file."""
        os.close(self._file)

    def _lock(self, at: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)
        except (BlockingIOError, PermissionError):  # POSIX allows either error
            return False
        return True

    def _unlock(self, at: int) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, at)


def _position(host: str) -> int:
    """Return the position of a host's bytes: a multiple of the stride below 2**62."""
    number = int.from_bytes(hashlib.sha256(host.encode()).digest()[:8], "big")
    return (number >> 2) // _STRIDE * _STRIDE
