"""Holds the single-instance lock: one command at a time may change a workspace."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

from ..core.durable import writing
from ..core.errors import InstanceRunning
from ..core.workspace import Workspace

TRIES = 20
"""Attempts to take a lock whose holder has not written its name into the file."""

POLL = 0.2
"""Seconds between attempts to take a lock that another process holds."""


@contextmanager
def instance_lock(workspace: Workspace, command: str, wait: float = 0.0) -> Iterator[None]:
    """Hold the workspace's lock; InstanceRunning if another process holds it for longer than `wait` seconds.

    The kernel releases the lock (flock) when its process ends. The JSON in the file only names the holder. A
    workspace that contains only the lock is removed at the end. DiskError if no lock can be created.
    """
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": command,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with writing(workspace.root):
        workspace.root.mkdir(parents=True, exist_ok=True)
        file = _locked(workspace, time.monotonic() + wait)
    with file:
        with writing(workspace.root):
            file.truncate()
            file.write(json.dumps(holder))
            file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.truncate()
            if list(workspace.root.iterdir()) == [workspace.lock]:
                workspace.lock.unlink()
                workspace.root.rmdir()


def lock_holder(workspace: Workspace) -> dict[str, object] | None:
    """The holder's entry in the lock file; None if no process holds the workspace's lock."""
    try:
        file = workspace.lock.open()
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _parse(file.read())
    return None


def _locked(workspace: Workspace, deadline: float) -> TextIO:
    """The lock file, locked, at its beginning."""
    tries = 0
    while True:
        file = workspace.lock.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.seek(0)
            if _is_current(workspace, file):
                return file
        except BlockingIOError:
            file.seek(0)
            holder = _parse(file.read())
            file.close()
            tries += 1
            waiting = time.monotonic() < deadline
            if (holder or tries >= TRIES) and not waiting:
                raise InstanceRunning(holder) from None
            # without a holder, `lock_holder` in another process holds the lock for a moment
            time.sleep(POLL if holder and waiting else 0.01)
            continue
        file.close()  # its last holder removed it between our opening and our locking it


def _is_current(workspace: Workspace, file: TextIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), workspace.lock.stat())
    except FileNotFoundError:
        return False


def _parse(text: str) -> dict[str, object]:
    try:
        holder = json.loads(text)
    except ValueError:  # the holder has not written its entry completely yet
        return {}
    return holder if isinstance(holder, dict) else {}
