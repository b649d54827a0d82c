"""Thumbnails by the hash of their image, in a temporary folder that ends with the server.

The workspace stays as it is, and no copy of an image outlives a purge of the image.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path

from ..core.temporary import TemporaryFolder
from ..exploration import Exploration

SIDE = 360
"""Pixels of the longer side: twice the width of a cell, for dense screens."""
MAX_BYTES = 512 * 2**20


class Thumbnails:
    """Makes and keeps thumbnails; thread-safe. The least recently used ones are removed above MAX_BYTES."""

    def __init__(self, explore: Exploration) -> None:
        self._explore = explore
        self._folder = TemporaryFolder("thumbnails")
        self._decoding = threading.Semaphore(os.cpu_count() or 1)
        self._guard = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._total = 0

    def get(self, sha256: str) -> bytes:
        """Return the JPEG of an image's thumbnail. Raises Unavailable."""
        self._explore.require_image(sha256)
        path = Path(self._folder.path, sha256)
        with self._guard:
            if sha256 in self._sizes:
                self._sizes.move_to_end(sha256)
                return path.read_bytes()
        with self._decoding:
            data = self._explore.thumbnail(sha256, SIDE)
        with self._guard:
            if sha256 not in self._sizes:
                path.write_bytes(data)
                self._sizes[sha256] = len(data)
                self._total += len(data)
            while self._total > MAX_BYTES:
                oldest, size = self._sizes.popitem(last=False)
                Path(self._folder.path, oldest).unlink()
                self._total -= size
        return data

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()
