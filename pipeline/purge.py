"""Erases withdrawn items from store and cache, and finds their residue.

Images are overwritten in place: the segment keeps its size, so that every other image keeps its place. A
purge can be interrupted at any point and repeated; an item counts as purged when no residue is left.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..adapters.http.body_cache import BodyCache
from ..catalog.connection import read_catalog
from ..catalog.models import now
from ..catalog.queries import query
from ..catalog.segment_files import BadSegment, stored
from ..catalog.segments import row_schema
from ..core.durable import replacing
from ..core.tar import BLOCK, header
from ..core.workspace import Workspace
from .segment_store import SegmentStore
from .segment_writer import write_parquet

log = logging.getLogger("derlem.pipeline")

PURGE_RESIDUE = pa.schema([("item_id", pa.string()), ("path", pa.string()), ("what", pa.string())])
"""The residue of purged items: the item, the path relative to the workspace, and the kind of residue."""

_BLANK: dict[str, str | None] = {
    "caption": None,
    "captions": None,
    "conversations": None,
    "meta": "{}",
    "locator_state": "{}",
}
"""Columns with content, and their values in a purged row."""

_MARK = '{"purged":true'
"""The beginning of a purged item's `meta` (`sql/segments/purgeable.sql`)."""


@dataclass(frozen=True, slots=True)
class _Image:
    """The place of one of an item's images in a segment's tar."""

    item_id: str
    offset: int
    length: int


def find_purgeable(workspace: Workspace, run: str) -> pa.Table:
    """The rows that a purge would write, one for each withdrawn item that is not purged; changes nothing."""
    with read_catalog(workspace) as connection:
        rows = connection.execute(query("segments/purgeable"), {"run": run, "at": now()}).to_arrow_table()
    return rows.cast(row_schema())


def purge(store: SegmentStore, run: str) -> dict[str, int]:
    """Erase all withdrawn items; return the number of newly purged items by source.

    Items that were purged before are checked again, because a backup may have restored them. The caller
    holds the workspace's lock. Raises BadSegment for a tar that differs from its rows.
    """
    workspace = store.workspace
    with read_catalog(workspace) as connection:
        withdrawn = connection.execute(
            "SELECT item_id, source FROM items WHERE status = 'withdrawn'"
        ).to_arrow_table()
    if not withdrawn.num_rows:
        return {}
    for source, own_rows in _by_source(withdrawn):
        items = own_rows.column("item_id")
        in_use = _in_use(workspace, source, items)
        for path in stored(workspace, source):
            _purge_segment(path, items, in_use)
    with BodyCache(workspace) as bodies:
        bodies.erase(_bodies_of_withdrawn(workspace))
    counts = {}
    for source, own_rows in _by_source(find_purgeable(workspace, run)):
        store.write_rows(source, "amend", run, own_rows)
        counts[source] = own_rows.num_rows
    store.commit()
    return counts


def _by_source(rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    for source in pc.unique(rows.column("source")).to_pylist():
        yield source, rows.filter(pc.equal(rows.column("source"), source))


def purge_residue(workspace: Workspace) -> pa.Table:
    """The residue of purged items in the bytes of store and cache, in the schema PURGE_RESIDUE."""
    with read_catalog(workspace) as connection:
        purged = connection.execute(query("segments/purged")).to_arrow_table()
    found: list[dict[str, Any]] = []
    for source, own_rows in _by_source(purged):
        items = own_rows.column("item_id")
        in_use = _in_use(workspace, source, items)
        for path in stored(workspace, source):
            for item_id, file, what in _left_in_segment(path, items, in_use):
                place = file.relative_to(workspace.root).as_posix()
                found.append({"item_id": item_id, "path": place, "what": what})
    if purged.num_rows:
        wanted = _bodies_of_withdrawn(workspace)
        with BodyCache(workspace) as bodies:
            places = bodies.find(wanted)
        for item in purged.select(["item_id", "bodies"]).to_pylist():
            present = set(item["bodies"]) & places.keys()
            found += [
                {"item_id": item["item_id"], "path": places[digest], "what": "as fetched"}
                for digest in present
            ]
    return pa.Table.from_pylist(found, schema=PURGE_RESIDUE)


def _bodies_of_withdrawn(workspace: Workspace) -> set[str]:
    with read_catalog(workspace) as connection:
        return {
            digest
            for (digest,) in connection.execute(query("segments/purgeable_bodies")).fetchall()
            if digest is not None
        }


def _in_use(workspace: Workspace, source: str, items: pa.ChunkedArray) -> set[tuple[str, int]]:
    """The segments and offsets of those of the items' images that a ready item has, too, at present.

    Items of one segment share equal images. An earlier image of a withdrawn item may be such a one.
    """
    places = {
        (f"{source}/{path.stem}", image.offset)
        for path in stored(workspace, source)
        for image in _images(path, items)
    }
    if not places:
        return set()
    segments, offsets = zip(*sorted(places), strict=True)
    with read_catalog(workspace) as connection:
        values = {"segments": list(segments), "offsets": list(offsets)}
        return set(connection.execute(query("segments/places_in_use"), values).fetchall())


def _purge_segment(path: Path, items: pa.ChunkedArray, in_use: set[tuple[str, int]]) -> None:
    """Overwrite the items' images in a segment, but for those in use, then blank their rows."""
    images = list(_images(path, items, in_use))
    if images:
        handle = os.open(path.with_suffix(".tar"), os.O_RDWR | os.O_CLOEXEC)
        try:
            for image in images:
                _erase(handle, path, image)
            os.fsync(handle)
        finally:
            os.close(handle)
    table = pq.read_table(path)
    blanked = table
    marked = pc.starts_with(table.column("meta"), _MARK)  # the rows by which items count as purged
    gone = pc.and_not(_is_in(table.column("item_id"), items), marked)
    for name, blank in _BLANK.items():
        column = blanked.column(name)
        replaced = pc.if_else(gone, pa.scalar(blank, column.type), column)
        index = blanked.schema.get_field_index(name)
        blanked = blanked.set_column(index, blanked.schema.field(index), replaced)
    if not blanked.equals(table):
        with replacing(path) as file:
            write_parquet(blanked.replace_schema_metadata(table.schema.metadata), file)
        log.info("%s: %d rows blanked, %d images overwritten", path.stem, pc.sum(gone).as_py(), len(images))


def _images(path: Path, items: pa.ChunkedArray, in_use: Collection[tuple[str, int]] = ()) -> Iterator[_Image]:
    """The places of the items' images in the segment's tar, less those in use; none without a tar."""
    segment = f"{path.parent.name}/{path.stem}"
    if not path.with_suffix(".tar").exists():
        return
    places = pq.read_table(path, columns=["item_id", "offset", "length", "more_images", "status"])
    chosen = pc.and_(_is_in(places.column("item_id"), items), pc.is_valid(places.column("length")))
    # only where the item became ready is the place one in this segment's own tar
    chosen = pc.and_(chosen, pc.equal(places.column("status"), "ready"))
    for row in places.filter(chosen).to_pylist():
        for place in (row, *(row["more_images"] or ())):
            if (segment, place["offset"]) not in in_use:
                yield _Image(row["item_id"], place["offset"], place["length"])


def _erase(handle: int, path: Path, image: _Image) -> None:
    """Overwrite an image with zeros, then rename its member to mark the image as erased."""
    place = image.offset - BLOCK
    mark = header(f"{image.item_id}.purged", image.length)
    found = os.pread(handle, BLOCK, place)
    name = found[:100].rstrip(b"\0").decode("ascii", "replace")
    if not re.match(r"[0-9a-f]{32}\.", name) or found != header(name, image.length):
        raise BadSegment(path, f"the image of {image.item_id} is not at byte {image.offset} of its tar")
    if name.endswith(".purged"):  # perhaps for another item with this image
        return
    for data, at in ((bytes(image.length), image.offset), (mark, place)):
        if os.pwrite(handle, data, at) != len(data):
            raise OSError(f"{path}: could not overwrite {len(data)} bytes at {at}")


def _left_in_segment(
    path: Path, items: pa.ChunkedArray, in_use: Collection[tuple[str, int]]
) -> Iterator[tuple[str, Path, str]]:
    table = pq.read_table(path, columns=["item_id", *_BLANK])
    table = table.filter(_is_in(table.column("item_id"), items))
    for row in table.to_pylist():
        texts = row["caption"], row["captions"], row["conversations"], row["locator_state"]
        if texts != (None, None, None, "{}"):
            yield row["item_id"], path, "texts"
    tar = path.with_suffix(".tar")
    if not tar.exists():
        return
    with tar.open("rb") as file:
        for image in _images(path, items, in_use):
            if os.pread(file.fileno(), image.length, image.offset).strip(b"\0"):
                yield image.item_id, tar, "image"


def _is_in(column: pa.ChunkedArray, items: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.is_in(column, value_set=items.combine_chunks() if items.num_chunks else items)
