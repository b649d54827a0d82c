"""Finds and erases fetched bytes in all places of the cache."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from types import TracebackType
from typing import Self

from ...core.workspace import Workspace
from .body_store import BodyStore, Place

_CHUNK = 2**20


class BodyCache:
    """The bodies of a workspace: files by sha256, and packs of small bodies indexed by the ledger.

    The caller must hold the workspace's lock, which excludes fetching.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = BodyStore(workspace)
        self._ledger = None
        if workspace.ledger.exists():
            from .ledger import Ledger  # imports SQLAlchemy; most workspaces do not fetch

            self._ledger = Ledger(workspace.ledger)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.close()
        if self._ledger is not None:
            self._ledger.close()

    def find(self, digests: Iterable[str]) -> dict[str, str]:
        """Return the paths, below the workspace, of existing bodies with these sha256 (hex), by sha256."""
        wanted = set(digests)
        places = {}
        for digest in wanted:
            path = self._workspace.cached(digest)
            if path.exists():
                places[digest] = path.relative_to(self._workspace.root).as_posix()
        for digest, pack, offset, size in self._ledger.packed() if self._ledger is not None else ():
            if digest in wanted and self._store.load(Place(digest, size, pack, offset)) is not None:
                path = self._workspace.packs / pack
                places[digest] = f"{path.relative_to(self._workspace.root).as_posix()}:{offset}"
        return places

    def erase(self, digests: Iterable[str]) -> None:
        """Erase bodies with these sha256 (hex), and bytes of packs without a URL in the ledger."""
        wanted = set(digests)
        for digest in wanted:
            self._workspace.cached(digest).unlink(missing_ok=True)
        kept: list[tuple[str, int, int]] = []
        if self._ledger is not None:
            kept = [
                (pack, offset, size)
                for digest, pack, offset, size in self._ledger.packed()
                if digest not in wanted
            ]
            self._ledger.forget(wanted)
        ranges = {pack: list(group) for pack, group in groupby(sorted(kept), key=itemgetter(0))}
        for path in sorted(self._workspace.packs.glob("*")):
            if path.name not in ranges:
                path.unlink()
                continue
            with path.open("r+b") as file:
                at = 0
                for _, offset, size in ranges[path.name]:
                    _overwrite(file.fileno(), at, offset)
                    at = max(at, offset + size)
                _overwrite(file.fileno(), at, os.fstat(file.fileno()).st_size)
                os.fsync(file.fileno())


def _overwrite(handle: int, start: int, stop: int) -> None:
    """Write zeros from `start` to `stop`, except over existing zeros."""
    for at in range(start, stop, _CHUNK):
        size = min(_CHUNK, stop - at)
        if os.pread(handle, size, at).strip(b"\0"):
            os.pwrite(handle, bytes(size), at)
