"""Sets the status and columns of items in place: announced, ready, expanded, rejected, failed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..catalog.models import Failure, Item, clean_text, now
from ..catalog.status import Reason, Status
from ..core.masking import mask

if TYPE_CHECKING:
    from ..media.image import NormalizedImage  # with its decoders, which the coordinator does not need

IMAGE_COLUMNS = (
    "sha256", "original_sha256", "dhash", "width", "height", "offset", "length", "image_revision",
)  # fmt: skip
"""Columns that describe a stored image."""

UPDATABLE = frozenset({"caption", "conversations", "language", "license", "category"})
"""Columns that reading an item may fill or correct."""

WORKER_LOST: Mapping[Reason, str] = {
    Reason.DECODER_CRASH: "the worker process crashed on this item",
    Reason.WORKER_KILLED: "the worker process was killed on this item, again when the item was alone",
    Reason.DEADLINE: "the item took longer than `ingest.deadline`",
    Reason.READ_ERROR: "the adapter failed on this item; see the log",
}
"""The detail recorded for an item whose worker was lost."""


def announce(item: Item, *, ordinal: int, license: str | None, run: str, at: datetime) -> Item:
    """Complete a newly listed item; an item with a reason gets its final status.

    The reason is part of the revision, so that an item that becomes readable or unreadable counts as changed.
    """
    detail = item.meta.get("detail")
    item.ordinal = ordinal
    item.license = item.license or license
    item.caption = clean_text(item.caption or "") or None
    item.revision = item.revision or item.document_sha256 or ""
    if item.reason is not None:
        item.revision += f"!{item.reason}"
        item.status = item.reason.status
        item.detail = None if detail is None else mask(str(detail))
    item.run, item.discovered_at, item.updated_at = run, at, at
    return item


def apply_updates(item: Item, updates: Mapping[str, Any]) -> None:
    """Set updatable columns of the item; text is cleaned. ValueError for a column outside of UPDATABLE."""
    for column, value in updates.items():
        if column not in UPDATABLE:
            raise ValueError(f"an adapter may not set the column {column!r}")
        if value is None:
            continue
        if column == "caption":
            value = clean_text(value) or None
        setattr(item, column, value)


def make_ready(item: Item, image: NormalizedImage, run: str) -> None:
    """Set the columns of a normalized image; the segment's writer sets the place of its bytes."""
    item.media_type = image.media_type
    item.sha256, item.original_sha256, item.dhash = image.sha256, image.original_sha256, image.dhash
    item.width, item.height, item.bytes = image.width, image.height, len(image.data)
    item.image_revision = item.revision
    item.meta = {**item.meta, **image.meta}
    item.reason = item.detail = None
    _finish(item, Status.READY, run)


def is_stored(item: Item, data: bytes) -> bool:
    """Whether the image of these bytes is already stored in the declared form."""
    return item.offset is not None and hashlib.sha256(data).hexdigest() == item.original_sha256


def keep_image(item: Item, run: str) -> None:
    """Make an item ready again whose stored image is unchanged."""
    item.image_revision = item.revision
    item.reason = item.detail = None
    _finish(item, Status.READY, run)


def drop_image(item: Item) -> None:
    """Clear the columns of a stored image that no longer belongs to the item."""
    if item.offset is not None:
        for column in IMAGE_COLUMNS:
            setattr(item, column, None)


def make_expanded(item: Item, digest: str, size: int, pages: int, run: str) -> None:
    """Mark a document of `size` bytes as expanded into items for its pages."""
    item.media_type, item.original_sha256, item.bytes = "application/pdf", digest, size
    item.meta = {**item.meta, "pages": pages}
    _finish(item, Status.EXPANDED, run)


def make_failed(item: Item, failure: Failure, run: str) -> None:
    """Mark the item as rejected or failed, depending on the reason; the failure's evidence is kept."""
    item.reason, item.detail = failure.reason, mask(failure.detail) or None
    item.meta = {**item.meta, **failure.meta}
    _finish(item, failure.reason.status, run)


def _finish(item: Item, status: Status, run: str) -> None:
    item.status, item.run, item.updated_at = status, run, now()
    item.attempts += 1
