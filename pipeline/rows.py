"""Between the catalog's rows and what adapters hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..catalog.models import Failure, Item, clean_text
from ..catalog.status import Reason, Status

Row = dict[str, Any]
"""An `items` row less `segment`: every column by name, JSON columns as text."""


_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)


def dump(value: object) -> str:
    """JSON as the catalog keeps it: sorted keys, no spaces, real characters."""
    return "{}" if value == {} else _ENCODER.encode(value)


def parse(text: str) -> dict[str, Any]:
    """The object of a JSON column; most hold nothing, which costs nothing."""
    if text == "{}":
        return {}
    value: dict[str, Any] = json.loads(text)
    return value


def announce(item: Item, *, ordinal: int, license: str, run: str, at: datetime) -> Row:
    """The row of a newly discovered item; settled at once if the adapter gave it a reason."""
    reason = item.reason
    detail = item.meta.get("detail")
    return {
        "item_id": item.item_id,
        "source": item.source,
        "uri": item.uri,
        "locator": item.locator,
        "parent_id": item.parent_id,
        "document_sha256": item.document_sha256,
        "ordinal": ordinal,
        "partition_key": item.partition_key,
        "category": item.category,
        "media_type": item.media_type,
        "status": Status.DISCOVERED if reason is None else reason.status,
        "reason": reason,
        "detail": None if reason is None or detail is None else str(detail),
        "attempts": 0,
        "sha256": None,
        "original_sha256": None,
        "dhash": None,
        "width": None,
        "height": None,
        "bytes": item.bytes,
        "offset": None,
        "length": None,
        "caption": clean_text(item.caption or "") or None,
        "conversations": None if not item.conversations else dump(item.conversations),
        "language": item.language,
        "license": item.license or license,
        "meta": dump(item.meta),
        "locator_state": dump(item.locator_state),
        "run": run,
        "discovered_at": at,
        "updated_at": at,
    }


def as_item(row: Row) -> Item:
    """The item of a row, as its adapter gets it back."""
    return Item(
        source=row["source"],
        uri=row["uri"],
        locator=row["locator"],
        category=row["category"],
        media_type=row["media_type"],
        bytes=row["bytes"],
        caption=row["caption"],
        conversations=None if row["conversations"] is None else json.loads(row["conversations"]),
        language=row["language"],
        license=row["license"],
        parent_id=row["parent_id"],
        document_sha256=row["document_sha256"],
        meta=parse(row["meta"]),
        locator_state=parse(row["locator_state"]),
        partition_key=row["partition_key"],
        item_id=row["item_id"],
    )


def failed(row: Row, failure: Failure, *, run: str, at: datetime) -> Row:
    """The row after a failure: rejected or failed by its reason, its evidence kept."""
    return {
        **row,
        "status": failure.reason.status,
        "reason": failure.reason,
        "detail": failure.detail or None,
        "attempts": row["attempts"] + 1,
        "meta": merged_meta(row, failure.meta),
        "run": run,
        "updated_at": at,
    }


def updated(row: Row, updates: Mapping[str, Any]) -> Row:
    """The row with what reading it taught; text is cleaned on its way in."""
    if not updates:
        return row
    changed = dict(row)
    for column, value in updates.items():
        if column not in UPDATABLE:
            raise ValueError(f"an adapter may not set the column {column!r}")
        if value is None:
            continue
        if column == "caption":
            value = clean_text(value) or None
        elif column == "conversations":
            value = dump(value) if value else None
        changed[column] = value
    return changed


def merged_meta(row: Row, meta: Mapping[str, Any]) -> str:
    """The row's `meta` with `meta` over it, as JSON text."""
    known: str = row["meta"]
    return dump({**parse(known), **meta}) if meta else known


UPDATABLE = frozenset({"caption", "conversations", "language", "license", "category"})
"""Columns that reading an item may fill or correct."""

SETTLED_AT_ONCE: Mapping[Reason, str] = {
    Reason.DECODER_CRASH: "the worker died on this item",
    Reason.DEADLINE: "the item took longer than `ingest.deadline`",
    Reason.READ_ERROR: "the adapter failed on this item; see the log",
}
"""What is said of an item that cost its worker."""
