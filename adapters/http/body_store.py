"""Stores fetched bodies, so that unchanged bodies are not transferred again.

Documents are files of the cache. Images are small and many, and a file per image costs more than its
transfer (measured: 0.2 to 1 ms each, against 0.02 ms to append to a pack): images are appended to packs,
and the ledger stores their places. Packs are not flushed to disk; `load` detects damage after a crash.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import NamedTuple

from ...core.durable import writing
from ...core.workspace import Workspace
from ...storage.cache import keep

PACK_BYTES = 2**30
"""Size in bytes at which a pack is closed."""

OPEN_PACKS = 64


class Place(NamedTuple):
    """The place of a body: in a pack or, if `pack` is empty, in the cache under its sha256 (hex)."""

    sha256: str
    size: int
    pack: str = ""
    offset: int = 0


class BodyStore:
    """The bodies of one workspace; each process writes its own packs. Not thread-safe."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._folder = workspace.packs
        self._name = ""
        self._file = -1
        self._end = 0
        self._reading: dict[str, int] = {}

    def store(self, data: bytes) -> Place:
        """Store a body; DiskError if the body cannot be written."""
        if data.startswith(b"%PDF-"):
            return Place(keep(self._workspace, data), len(data))
        digest = hashlib.sha256(data).hexdigest()
        with writing(self._folder):
            if self._file < 0 or self._end >= PACK_BYTES:
                self._begin()
            place = Place(digest, len(data), self._name, self._end)
            left = memoryview(data)
            while left:
                left = left[os.write(self._file, left) :]
        self._end += len(data)
        return place

    def load(self, place: Place) -> bytes | None:
        """Return a stored body; None if missing or damaged."""
        try:
            if place.pack:
                data = os.pread(self._pack(place.pack), place.size, place.offset)
            else:
                data = self._workspace.cached(place.sha256).read_bytes()
        except FileNotFoundError:
            return None
        return data if hashlib.sha256(data).hexdigest() == place.sha256 else None

    def close(self) -> None:
        """Close all files."""
        for file in (self._file, *self._reading.values()):
            if file >= 0:
                os.close(file)
        self._file = -1
        self._reading.clear()

    def _begin(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._name = secrets.token_hex(8)
        path = self._folder / self._name
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._end = 0

    def _pack(self, name: str) -> int:
        file = self._reading.get(name)
        if file is None:
            if len(self._reading) >= OPEN_PACKS:
                os.close(self._reading.pop(next(iter(self._reading))))
            file = self._reading[name] = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC)
        return file
