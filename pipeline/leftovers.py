"""Removes the temporary files that killed processes left. The caller holds the workspace's lock."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from ..core.temporary import remove_abandoned
from ..core.workspace import Workspace

log = logging.getLogger("derlem.pipeline")


def remove_leftovers(workspace: Workspace, *, killed: bool) -> None:
    """Remove temporary files of the workspace's own folders, and temporary folders of ended processes.

    The cache and the corpora hold many files and are searched only if the last run was `killed`.
    """
    found: Iterable[Path] = chain(
        workspace.state.glob("plan-*.parquet"),
        workspace.state.glob(".*.tmp"),
        workspace.root.glob(".*.tmp"),
        workspace.root.glob(".catalog.new.duckdb*"),
    )
    if killed:
        found = chain(found, workspace.cache.rglob(".*.tmp"), workspace.corpora.rglob(".*.tmp"))
    _remove(found)
    if folders := remove_abandoned():
        log.info("removed %d temporary folders of ended processes", folders)


def remove_spilled(workspace: Workspace) -> None:
    """Remove temporary files of queries; no other process may have the catalog open."""
    _remove(workspace.temporary.glob("duckdb_temp_*"))


def _remove(paths: Iterable[Path]) -> None:
    size = files = 0
    for path in paths:
        size += path.stat().st_size
        path.unlink()
        files += 1
    if files:
        log.info("removed %d temporary files of an ended process (%d bytes)", files, size)
