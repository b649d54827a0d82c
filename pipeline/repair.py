"""Repairs a workspace whose store lost segments or images: re-queues items and rewrites rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..catalog.connection import read_catalog, transaction, write_catalog
from ..catalog.image_scan import damaged_images
from ..catalog.losses import damaged, missing, set_aside
from ..catalog.models import now
from ..catalog.queries import query
from ..catalog.segments import row_schema
from ..core.workspace import Workspace
from .segment_store import SegmentStore


@dataclass(frozen=True, slots=True)
class Losses:
    """Missing or damaged segments, and the numbers of items with lost images, by source.

    `items` are items whose images are damaged in other segments.
    """

    segments: tuple[str, ...]
    images: Mapping[str, int]
    items: tuple[str, ...] = ()


def find_losses(workspace: Workspace) -> Losses:
    """The missing and damaged segments of the catalog, and damaged images in the others.

    Reads and hashes every segment completely, and writes nothing.
    """
    with read_catalog(workspace) as connection:
        rows = dict(connection.execute("SELECT segment, items FROM segments").fetchall())
        lost = sorted({*missing(workspace, rows), *damaged(workspace, rows)})
        damaged_items = [
            row["item_id"]
            for row in damaged_images(connection, workspace).to_pylist()
            if row["segment"] not in lost
        ]
        values = {"lost": lost, "items": damaged_items}
        images = connection.execute(query("segments/lost_images"), values).fetchall()
    return Losses(tuple(lost), dict(images), tuple(damaged_items))


def repair(store: SegmentStore, run: str) -> Losses:
    """Re-queue items with lost images, rewrite the other rows of lost segments, and return the losses.

    The catalog still holds these rows. The losses are marked last, so that an interrupted repair is repeated.
    """
    losses = find_losses(store.workspace)
    if not losses.images and not losses.segments:
        return losses
    _write_again(store, losses, run)
    for name in losses.segments:
        set_aside(store.workspace, name)
    with write_catalog(store.workspace) as connection, transaction(connection):
        connection.execute("DELETE FROM segments WHERE list_contains(?, segment)", [list(losses.segments)])
    return losses


def find_unknown_losses(workspace: Workspace) -> Losses:
    """Gaps and damaged segments of a store without a catalog, so that their items are unknown; reads only."""
    return Losses(tuple(sorted({*missing(workspace, ()), *damaged(workspace, {})})), {})


def mark_losses(workspace: Workspace) -> Losses:
    """Mark the losses that `find_unknown_losses` finds, and return them."""
    losses = find_unknown_losses(workspace)
    for name in losses.segments:
        set_aside(workspace, name)
    return losses


def _write_again(store: SegmentStore, losses: Losses, run: str) -> None:
    sources = {*losses.images, *(name.rpartition("/")[0] for name in losses.segments)}
    with read_catalog(store.workspace) as connection:
        parameters = {
            "lost": list(losses.segments), "items": list(losses.items), "run": run, "at": now(),
        }  # fmt: skip
        tables = {
            (kind, source): connection.execute(query(f"segments/{name}"), {**parameters, "source": source})
            .to_arrow_table()
            .cast(row_schema())
            for source in sorted(sources)
            for kind, name in (("relist", "requeue_lost"), ("amend", "rewrite_lost"))
        }
    for (kind, source), rows in tables.items():
        if rows.num_rows:
            store.write_rows(source, kind, run, rows)
    store.commit()
