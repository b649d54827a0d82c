"""Repairs a workspace whose store lost segments: re-queues items and rewrites rows from the catalog."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ..catalog.connection import read_catalog, transaction, write_catalog
from ..catalog.losses import damaged, missing, set_aside
from ..catalog.models import now
from ..catalog.queries import query
from ..catalog.segments import row_schema
from ..core.workspace import Workspace
from .segment_store import SegmentStore


@dataclass(frozen=True, slots=True)
class Losses:
    """Missing or damaged segments, and the numbers of items with images in them, by source."""

    segments: tuple[str, ...]
    images: Mapping[str, int]


def find_losses(workspace: Workspace) -> Losses:
    """The missing and damaged segments of the catalog. Reads every segment completely and writes nothing."""
    with read_catalog(workspace) as connection:
        rows = connection.execute("SELECT segment, tar_bytes FROM segments").fetchall()
        lost = sorted({*missing(workspace, [name for name, _ in rows]), *damaged(workspace)})
        images = connection.execute(query("segments/lost_images"), {"lost": lost}).fetchall()
    return Losses(tuple(lost), dict(images))


def repair(store: SegmentStore, run: str) -> Losses:
    """Re-queue items with lost images, rewrite the other rows of lost segments, and return the losses.

    The catalog still holds these rows. The losses are marked last, so that an interrupted repair is repeated.
    """
    losses = find_losses(store.workspace)
    if not losses.segments:
        return losses
    _write_again(store, losses.segments, run)
    for name in losses.segments:
        set_aside(store.workspace, name)
    with write_catalog(store.workspace) as connection, transaction(connection):
        connection.execute("DELETE FROM segments WHERE list_contains(?, segment)", [list(losses.segments)])
    return losses


def find_unknown_losses(workspace: Workspace) -> Losses:
    """Gaps and damaged segments of a store without a catalog, so that their items are unknown; reads only."""
    return Losses(tuple(sorted({*missing(workspace, ()), *damaged(workspace)})), {})


def mark_losses(workspace: Workspace) -> Losses:
    """Mark the losses that `find_unknown_losses` finds, and return them."""
    losses = find_unknown_losses(workspace)
    for name in losses.segments:
        set_aside(workspace, name)
    return losses


def _write_again(store: SegmentStore, lost: Collection[str], run: str) -> None:
    with read_catalog(store.workspace) as connection:
        parameters = {"lost": list(lost), "run": run, "at": now()}
        tables = {
            (kind, source): connection.execute(query(f"segments/{name}"), {**parameters, "source": source})
            .to_arrow_table()
            .cast(row_schema())
            for source in sorted({name.rpartition("/")[0] for name in lost})
            for kind, name in (("relist", "requeue_lost"), ("amend", "rewrite_lost"))
        }
    for (kind, source), rows in tables.items():
        if rows.num_rows:
            store.write_rows(source, kind, run, rows)
    store.commit()
