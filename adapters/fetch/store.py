"""Fetched bodies in the cache: quick to write, and verified when they are read."""

from __future__ import annotations

import hashlib
import secrets

from ...catalog.workspace import Workspace
from ..cache import keep


def store(workspace: Workspace, data: bytes) -> str:
    """Put a fetched body into the cache and return its sha256 (hex).

    Documents are made durable, because the rasteriser works on the file. Pictures are not: a power cut
    may leave a damaged file, which `load` finds out, and waiting for the disk would cost more than all else.
    """
    if data.startswith(b"%PDF-"):
        return keep(workspace, data)
    digest = hashlib.sha256(data).hexdigest()
    target = workspace.cached(digest)
    if not target.exists():
        temporary = target.with_name(f".{digest}.{secrets.token_hex(4)}")
        try:
            temporary.write_bytes(data)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
        temporary.replace(target)
    return digest


def load(workspace: Workspace, sha256: str) -> bytes | None:
    """The body with this sha256 (hex); None if it is gone or damaged, and then it is removed."""
    path = workspace.cached(sha256)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if hashlib.sha256(data).hexdigest() != sha256:
        path.unlink(missing_ok=True)
        return None
    return data
