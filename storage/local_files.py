"""The files of a workspace that its copy contains; paths are relative to the workspace."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ..core.workspace import Workspace

LEDGER = "ledger.sqlite"
LOST = ".lost"
"""Suffix of the mark of a segment whose loss was recorded (`catalog/losses.py`)."""


def is_segment(path: str) -> bool:
    """Whether a path is a segment's rows or samples."""
    return path.startswith("store/") and path.endswith((".parquet", ".tar"))


def segment_files(workspace: Workspace) -> list[str]:
    """Rows and samples of all complete segments, by number: rows first within a segment."""
    found = [
        (int(rows.stem), rows.parent.name, rows)
        for rows in workspace.store.glob("*/[0-9]*.parquet")
        if rows.stem.isdecimal()
    ]
    names = []
    for _, _, rows in sorted(found):
        names.append(rows.relative_to(workspace.root).as_posix())
        if (tar := rows.with_suffix(".tar")).exists():
            names.append(tar.relative_to(workspace.root).as_posix())
    return names


def lost_segments(workspace: Workspace) -> set[str]:
    """Paths of segments' files whose loss was recorded."""
    marks = workspace.store.glob(f"*/[0-9]*.parquet{LOST}")
    stems = [mark.with_name(mark.name.partition(".")[0]) for mark in marks]
    return {
        stem.with_suffix(suffix).relative_to(workspace.root).as_posix()
        for stem in stems
        for suffix in (".parquet", ".tar")
    }


def texts(workspace: Workspace) -> dict[str, str]:
    """Small files with their contents: provenance of sources, state of runs, marks of lost segments."""
    paths = [*workspace.store.glob("*/provenance.json"), *workspace.state.glob("[0-9c]*.json")]
    found = {}
    for path in paths:
        try:
            found[path.relative_to(workspace.root).as_posix()] = path.read_text("utf-8")
        except FileNotFoundError:  # replaced or removed meanwhile
            continue
    for mark in workspace.store.glob(f"*/[0-9]*.parquet{LOST}"):
        found[mark.relative_to(workspace.root).as_posix()] = ""  # the damaged rows in it stay here
    return found


def extra_files(workspace: Workspace, *, corpora: bool, cache: bool) -> list[str]:
    """Files of corpora and of the cache, without temporary ones."""
    folders = [*([workspace.corpora] if corpora else []), *([workspace.cache] if cache else [])]
    return [
        path.relative_to(workspace.root).as_posix()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


@contextmanager
def ledger_copy(workspace: Workspace) -> Iterator[Path | None]:
    """A consistent copy of the ledger for the block; None without a ledger."""
    if not workspace.ledger.exists():
        yield None
        return
    copy = workspace.root / ".ledger.copy.tmp"
    copy.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(workspace.ledger, timeout=30.0)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        yield copy
    finally:
        copy.unlink(missing_ok=True)
