"""The cache of bytes as fetched, addressed by content: a file is there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets

from ..catalog.workspace import Workspace


def keep(workspace: Workspace, data: bytes) -> str:
    """Put bytes into the cache and return their sha256 (hex). Cheap when they are there already."""
    digest = hashlib.sha256(data).hexdigest()
    target = workspace.cached(digest)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{digest}.{secrets.token_hex(4)}")
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    return digest
