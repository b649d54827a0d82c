"""The single-instance lock: one command at a time may change a workspace."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from ..catalog.errors import InstanceRunning
from ..catalog.workspace import Workspace


@contextmanager
def instance_lock(workspace: Workspace, command: str) -> Iterator[None]:
    """Hold the workspace's lock; InstanceRunning, naming the holder, when another process has it.

    The lock is the kernel's (flock): it goes with its process, however that ends. The JSON in the file
    only tells people who holds it.
    """
    workspace.root.mkdir(parents=True, exist_ok=True)
    with workspace.lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise InstanceRunning(_parse(file.read())) from None
        file.seek(0)
        file.truncate()
        json.dump(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "command": command,
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
            },
            file,
        )
        file.flush()
        yield
        file.seek(0)
        file.truncate()


def _parse(text: str) -> dict[str, object]:
    try:
        holder = json.loads(text)
    except ValueError:  # the holder is just about to write it
        return {}
    return holder if isinstance(holder, dict) else {}
