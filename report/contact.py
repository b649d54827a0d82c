"""Thumbnails of contact sheets, from the segments of the store."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from ..core.workspace import Workspace
from ..media.thumbnail import thumbnail
from .facts import Row

SIDE = 176
"""Pixels of the longer side: 88 CSS pixels at twice the density."""


def data_url(workspace: Workspace, item: Row) -> str | None:
    """The thumbnail of an item as a data URL; None where the store does not hold the image of the catalog."""
    data = _stored(workspace, item)
    if data is None:
        return None
    try:
        small = thumbnail(data, SIDE)
    except (OSError, ValueError):
        return None
    return "data:image/jpeg;base64," + base64.b64encode(small).decode()


def _stored(workspace: Workspace, item: Row) -> bytes | None:
    offset, length = item["offset"], item["length"]
    if offset is None or length is None:
        return None
    try:
        with workspace.segment_tar(item["segment"]).open("rb") as file:
            file.seek(offset)
            data: Any = file.read(length)
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest() == item["sha256"] else None
