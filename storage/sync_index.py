"""What this workspace knows of its copy: the hashes of its files, and the last commit that it holds.

The index is a cache beside the workspace: without it, files are hashed again, and the workspace is compared
with its copy.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ..core.workspace import Workspace
from .transfer import file_sha256

_TABLES = """
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER, changed INTEGER, sha256 TEXT);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT);
"""


@dataclass(frozen=True, slots=True)
class Hashed:
    """Size and sha256 of a file when it was last looked at."""

    size: int
    changed: int
    sha256: str


class SyncIndex:
    """The index of a workspace. Without `keep`, nothing is written. Threads may share an instance."""

    def __init__(self, workspace: Workspace, *, keep: bool = True) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._keep = keep
        self._files: dict[str, Hashed] = {}
        self._facts: dict[str, str] = {}
        if workspace.sync_index.exists():
            self._load(workspace.sync_index)

    def _load(self, path: Path) -> None:
        try:
            self._read(path)
        except sqlite3.DatabaseError:  # damaged: everything in it can be found again
            if self._keep:
                path.unlink()

    def _read(self, path: Path) -> None:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30.0)
        ) as connection:
            rows = connection.execute("SELECT path, size, changed, sha256 FROM files")
            self._files = {name: Hashed(*facts) for name, *facts in rows}
            self._facts = dict(connection.execute("SELECT name, value FROM facts"))

    @property
    def remote_id(self) -> str:
        """Identity of the copy that `commit` belongs to."""
        return self._facts.get("remote_id", "")

    @property
    def commit(self) -> int:
        """The last commit of the copy that the workspace holds; 0 for none."""
        return int(self._facts.get("commit", 0))

    @property
    def detached(self) -> str | None:
        """What was restored, if the workspace was restored to an earlier state: it cannot be pushed."""
        return self._facts.get("detached") or None

    def record(self, remote_id: str, commit: int, detached: str = "") -> None:
        """Record the commit that the workspace holds now."""
        self._facts = {"remote_id": remote_id, "commit": str(commit), "detached": detached}
        if self._keep:
            with self._lock, closing(self._open()) as connection, connection:
                connection.executemany("REPLACE INTO facts VALUES (?, ?)", self._facts.items())

    def hashes(self, paths: Iterable[str]) -> dict[str, Hashed]:
        """Return size and sha256 of files that exist; only files that changed are read."""
        found: dict[str, Hashed] = {}
        new: dict[str, Hashed] = {}
        for name in paths:
            path = self._workspace.root / name
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            known = self._files.get(name)
            if known is None or (known.size, known.changed) != (status.st_size, status.st_mtime_ns):
                try:
                    known = Hashed(status.st_size, status.st_mtime_ns, file_sha256(path))
                except FileNotFoundError:
                    continue
                new[name] = known
            found[name] = known
        if new:
            self._files.update(new)
            if self._keep:
                rows = [(name, each.size, each.changed, each.sha256) for name, each in new.items()]
                with self._lock, closing(self._open()) as connection, connection:
                    connection.executemany("REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
        return found

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._workspace.sync_index, timeout=30.0)
        connection.execute("PRAGMA synchronous = OFF")  # a lost write costs a hash
        connection.executescript(_TABLES)
        return connection
