"""Reads the state of a workspace: the running or last run, the items of each source, the items that wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from . import results
from .catalog.user_queries import fetch_rows
from .core.workspace import Workspace
from .pipeline.incidents import FailedItems
from .pipeline.state import has_died, last_state


def read_status(workspace: Workspace, waiting: Sequence[FailedItems]) -> results.StatusResult:
    """The status of a workspace; `waiting` are the items that wait for another attempt."""
    _, rows = fetch_rows(workspace, "FROM progress")
    return results.StatusResult(
        read_last_run(workspace), tuple(results.SourceProgress(*row) for row in rows), tuple(waiting)
    )


def read_last_run(workspace: Workspace) -> results.RunStatus | None:
    """The running or last run, from its state file alone."""
    if (last := last_state(workspace)) is None:
        return None
    facts = {field.name: getattr(last, field.name) for field in fields(results.RunStatus)}
    return results.RunStatus(**(facts | {"state": "killed"} if has_died(workspace, last) else facts))
