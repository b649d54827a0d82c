"""The frame around every command that changes a workspace: the lock, the run, the record."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..pipeline.lock import instance_lock
from ..pipeline.run import Session, session
from .app import App


def locked(app: App) -> AbstractContextManager[None]:
    """The workspace's lock; InstanceRunning if somebody else has it."""
    return instance_lock(app.workspace, app.command)


def begun(app: App) -> AbstractContextManager[Session]:
    """A run under the lock, which is recorded however it ends."""
    return session(app.workspace, app.command, app.loaded.config_hash, app.loaded.config.ingest)
