"""Lists the files of segments in the store, with the number of rows that can be read in each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.workspace import Workspace
from .segment_files import stored

STORE_FILES = pa.schema(
    [
        ("path", pa.string()),  # relative to the workspace
        ("segment", pa.string()),
        ("source", pa.string()),
        ("number", pa.int64()),
        ("bytes", pa.int64()),
        ("row_count", pa.int64()),  # null: a tar, or a Parquet file that cannot be read
    ]
)


def store_files(workspace: Workspace) -> pa.Table:
    """The files of all segments, in the schema STORE_FILES; the ids in every Parquet file are read."""
    return pa.Table.from_pylist(list(_files(workspace)), schema=STORE_FILES)


def _files(workspace: Workspace) -> Iterator[dict[str, Any]]:
    for suffix in (".parquet", ".tar"):
        for path in stored(workspace, suffix=suffix):
            yield {
                "path": path.relative_to(workspace.root).as_posix(),
                "segment": f"{path.parent.name}/{path.stem}",
                "source": path.parent.name,
                "number": int(path.stem),
                "bytes": path.stat().st_size,
                "row_count": _rows(path) if suffix == ".parquet" else None,
            }


def _rows(path: Path) -> int | None:
    try:
        return int(pq.read_table(path, columns=["item_id", "source"], partitioning=None).num_rows)
    except (OSError, pa.ArrowException):
        return None
