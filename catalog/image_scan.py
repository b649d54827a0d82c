"""Compares the hashes of the images in the store with the catalog: reads every byte of every ready item."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from ..core.workers import map_in_workers
from ..core.workspace import Workspace
from .queries import query

DAMAGED_IMAGES = pa.schema([("item_id", pa.string()), ("segment", pa.string()), ("found", pa.string())])
"""Damaged images: their item and segment, and the sha256 of the bytes there; NULL for missing bytes."""

_ROWS = 500_000
"""Images that the coordinator fetches at a time: bounds its memory."""
_BLOCK = 16 * 1024 * 1024

_Row = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class _Task:
    """Images of one segment, in the order of their places."""

    workspace: Workspace
    segment: str
    images: pa.RecordBatch


def damaged_images(connection: duckdb.DuckDBPyConnection, workspace: Workspace, workers: int = 1) -> pa.Table:
    """The stored images whose bytes do not have the sha256 of the catalog, in the schema DAMAGED_IMAGES.

    `workers` processes read the segments.
    """
    found: list[_Row] = []
    for batch in connection.execute(query("segments/images")).to_arrow_reader(_ROWS):
        for rows in map_in_workers(_check, _tasks(batch, workspace), workers):
            found += rows
    return pa.Table.from_pylist(sorted(found, key=lambda row: row["item_id"] or ""), schema=DAMAGED_IMAGES)


def _tasks(images: pa.RecordBatch, workspace: Workspace) -> Iterator[_Task]:
    """Neighboring images of one segment each."""
    segments = images.column("segment").to_pylist()
    start = 0
    for end in range(1, len(segments) + 1):
        if end == len(segments) or segments[end] != segments[start]:
            yield _Task(workspace, segments[start], images.slice(start, end - start))
            start = end


def _check(task: _Task) -> list[_Row]:
    """Rows of DAMAGED_IMAGES."""
    try:
        descriptor = os.open(task.workspace.segment_tar(task.segment), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        descriptor = None
    rows: list[_Row] = []
    try:
        for image in task.images.to_pylist():
            found = None if descriptor is None else _hash(descriptor, image["offset"], image["length"])
            if found != image["sha256"]:
                rows.append({"item_id": image["item_id"], "segment": task.segment, "found": found})
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return rows


def _hash(descriptor: int, offset: int, length: int) -> str | None:
    """The sha256 (hex) of a range of a file; None if the file is too short."""
    digest = hashlib.sha256()
    while length:
        block = os.pread(descriptor, min(length, _BLOCK), offset)
        if not block:
            return None
        digest.update(block)
        offset += len(block)
        length -= len(block)
    return digest.hexdigest()
