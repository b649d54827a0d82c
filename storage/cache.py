"""The cache of bytes as fetched, addressed by content: a file is there whole or not at all."""

from __future__ import annotations

import hashlib

from ..core.durable import replace_file
from ..core.workspace import Workspace


def keep(workspace: Workspace, data: bytes) -> str:
    """Put bytes into the cache and return their sha256 (hex); DiskError if they cannot be written.

    Cheap when they are there already.
    """
    digest = hashlib.sha256(data).hexdigest()
    target = workspace.cached(digest)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, data)
    return digest
