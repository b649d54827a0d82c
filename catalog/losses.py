"""Segments that the store lost: which they are, and the marks that record that their loss was dealt with."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.durable import rename, replace_file
from ..core.errors import DerlemError
from ..core.workspace import Workspace
from .segment_files import BadSegment, OtherVersion, inspect, stored

log = logging.getLogger("derlem.pipeline")

MARK = ".lost"
"""Suffix of damaged files that are set aside, and of empty files in place of missing ones."""


class SegmentsLost(DerlemError):
    """Segments that were written and that the store does not hold; `names` are theirs."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        super().__init__(
            f"the store lacks {len(names)} segments that were written: {some}. What they record, withdrawals "
            "among it, would be forgotten. Bring their files back (is the store mounted?), "
            "or let `derlem catalog repair` record the loss"
        )


class StoreEmpty(DerlemError):
    """There is no segment to rebuild a catalog from."""

    def __init__(self, store: Path) -> None:
        self.store = store
        super().__init__(
            f"{store} holds no segments (is it mounted?): the catalog is left as it is. "
            "If nothing was ever stored, remove catalog.duckdb*, and the next run begins anew"
        )


def marked(workspace: Workspace) -> set[str]:
    """Names of the segments whose loss is recorded."""
    marks = workspace.store.glob(f"*/[0-9]*.parquet{MARK}")
    return {f"{mark.parent.name}/{mark.name.partition('.')[0]}" for mark in marks}


def missing(workspace: Workspace, known: Iterable[str]) -> list[str]:
    """Segments without a file: those of `known`, and gaps without a mark in the numbers of a source."""
    there = {f"{path.parent.name}/{path.stem}" for path in stored(workspace)}
    last: dict[str, int] = {}
    for name in there:
        source, _, number = name.rpartition("/")
        last[source] = max(last.get(source, 0), int(number))
    numbered = {f"{source}/{number:06d}" for source, end in last.items() for number in range(1, end)}
    return sorted(((numbered - marked(workspace)) | set(known)) - there)


def damaged(workspace: Workspace, rows: Mapping[str, int]) -> dict[str, BadSegment]:
    """Stored segments that cannot be read to their end, by name. Raises OtherVersion.

    `rows` are the numbers of rows that the catalog has for its segments; any other number is damage.
    """
    found = {}
    for path in stored(workspace):
        try:
            segment = inspect(workspace, path)
            wanted = rows.get(segment.name, segment.items)
            if segment.items != wanted:
                raise BadSegment(path, f"it has {segment.items:,} rows instead of {wanted:,}")
            for _ in pq.ParquetFile(path).iter_batches():
                pass
        except OtherVersion:
            raise
        except BadSegment as error:
            found[f"{path.parent.name}/{path.stem}"] = error
        except (OSError, pa.ArrowException) as error:
            found[f"{path.parent.name}/{path.stem}"] = BadSegment(path, str(error))
    return found


def set_aside(workspace: Workspace, name: str) -> None:
    """Give what is left of a segment's files other names, and leave a mark for the segment."""
    rows, tar = workspace.segment_rows(name), workspace.segment_tar(name)
    if tar.exists():
        rename(tar, tar.with_name(tar.name + MARK))
    mark = rows.with_name(rows.name + MARK)
    if rows.exists():
        rename(rows, mark)
    elif not mark.exists():
        rows.parent.mkdir(parents=True, exist_ok=True)
        replace_file(mark, b"")
    log.warning("segment %s is lost; what is left of its files ends in %s", name, MARK)
