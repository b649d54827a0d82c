"""Segments in a workspace's store, finished and numbered as the coordinator leaves them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from derlem.catalog.item_rows import from_row
from derlem.catalog.segments import row_schema
from derlem.core.workspace import Workspace
from derlem.pipeline.segment_writer import SegmentWriter

from .catalog import Row


def write_segment(
    workspace: Workspace,
    number: int,
    rows: Iterable[Row | tuple[Row, bytes]],
    *,
    source: str = "s",
    kind: str = "ingest",
    run: str = "r",
    extension: str = "jpg",
) -> Path:
    """Write rows of `item_row`, a stored item's with the bytes of its image; the Parquet file's path."""
    folder = workspace.store / source
    writer = SegmentWriter(folder, source=source, kind=kind, run=run, schema=row_schema())
    for each in rows:
        if isinstance(each, tuple):
            row, image = each
            writer.add_images(from_row(row), [(image, extension)])
        else:
            writer.add(from_row(each))
    written = writer.close()
    path = folder / f"{number:06d}.parquet"
    if written.tar is not None:
        written.tar.rename(path.with_suffix(".tar"))
    return written.rows.rename(path)
