"""Sets the status and columns of items in place: announced, ready, expanded, rejected, failed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..catalog.models import Failure, Item, MoreImage, Payload, clean_text, images_sha256, now
from ..catalog.status import Reason, Status
from ..core.masking import mask

if TYPE_CHECKING:
    from ..media.image import NormalizedImage  # with its decoders, which the coordinator does not need

IMAGE_COLUMNS = (
    "sha256", "first_sha256", "original_sha256", "dhash", "width", "height", "offset", "length",
    "more_images", "image_revision",
)  # fmt: skip
"""Columns that describe a stored image."""

UPDATABLE = frozenset({"caption", "captions", "conversations", "language", "license", "category"})
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
    set_captions(item, item.captions or [item.caption])
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
            set_captions(item, [value])
        elif column == "captions":
            set_captions(item, value)
        else:
            setattr(item, column, value)


def set_captions(item: Item, captions: Iterable[str | None]) -> None:
    """Set the captions of the item: cleaned, without empty and repeated ones, in order."""
    cleaned = list(dict.fromkeys(text for caption in captions if (text := clean_text(caption or ""))))
    item.caption = cleaned[0] if cleaned else None
    item.captions = cleaned if len(cleaned) > 1 else None


def make_ready(item: Item, images: Sequence[NormalizedImage], run: str) -> None:
    """Set the columns of normalized images; the segment's writer sets the places of their bytes."""
    image = images[0]
    item.media_type = image.media_type
    item.sha256 = images_sha256([part.sha256 for part in images])
    item.original_sha256, item.dhash = image.original_sha256, image.dhash
    item.width, item.height, item.bytes = image.width, image.height, len(image.data)
    item.images = len(images)
    item.first_sha256 = item.more_images = None
    if len(images) > 1:
        item.first_sha256 = image.sha256
        item.more_images = [
            MoreImage(
                media_type=part.media_type,
                sha256=part.sha256,
                original_sha256=part.original_sha256,
                dhash=part.dhash,
                width=part.width,
                height=part.height,
                bytes=len(part.data),
                offset=0,
                length=0,
            )
            for part in images[1:]
        ]
    item.image_revision = item.revision
    item.meta = {**item.meta, **image.meta}
    if len(images) > 1:
        item.meta["more_images"] = [part.meta["image"] for part in images[1:]]
    item.reason = item.detail = None
    _finish(item, Status.READY, run)


def is_stored(item: Item, payload: Payload) -> bool:
    """Whether the images of these bytes are already stored in the declared form."""
    return item.offset is not None and is_unchanged(item, payload)


def is_unchanged(item: Item, payload: Payload) -> bool:
    """Whether the bytes are those from which the item's images were made."""
    known = [item.original_sha256, *(image.original_sha256 for image in item.more_images or ())]
    return len(known) == 1 + len(payload.more) and all(
        hashlib.sha256(data).hexdigest() == digest
        for data, digest in zip((payload.data, *payload.more), known, strict=True)
    )


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
