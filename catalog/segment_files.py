"""The segment format: a Parquet file of `items` rows, with a tar of samples if rows have images.

Workers write segments atomically (`pipeline/segment_writer.py`), the coordinator numbers them, the catalog
merges them (`segments.py`). This module does not need the database.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import DerlemError
from ..core.workspace import Workspace

KINDS = ("discover", "relist", "ingest", "refresh", "retry", "amend", "withdraw")
"""The purpose of a segment. `discover` announces items; all other kinds contain outcomes.

`relist` re-queues items that changed in their source, or rejects items that are gone from their source.
"""


VERSION = 3
"""Version of this format, incremented with every change of the columns of `items`."""


class BadSegment(DerlemError):
    """A file in the store that is not a segment of this schema version."""

    advice = ". Bring the file back, or let `derlem catalog repair` record its loss"

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        why = why.rstrip(".")
        super().__init__(f"{path} is no segment that this derlem can read: {why}{self.advice}")


class OtherVersion(BadSegment):
    """A segment of another version of the format."""

    advice = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """The description in a segment's Parquet file. `name` is 'source/000042'."""

    name: str
    path: Path
    source: str
    number: int
    kind: str
    run: str
    items: int
    tar_bytes: int
    written_at: datetime


def describe(*, source: str, kind: str, run: str, tar_bytes: int, written_at: datetime) -> dict[bytes, bytes]:
    """Return the Parquet metadata that describes a segment."""
    facts = {
        "schema_version": VERSION,
        "source": source,
        "kind": kind,
        "run": run,
        "tar_bytes": tar_bytes,
        "written_at": written_at.isoformat(),
    }
    return {b"derlem": json.dumps(facts, sort_keys=True).encode()}


def inspect(workspace: Workspace, path: Path) -> Segment:
    """Read a segment's description; BadSegment if missing, or if the tar does not match it."""
    try:
        footer = pq.read_metadata(path)
        facts: dict[str, Any] = json.loads((footer.metadata or {}).get(b"derlem", b"null"))
    except (OSError, pa.ArrowInvalid, ValueError) as error:
        raise BadSegment(path, str(error)) from error
    if not facts:
        raise BadSegment(path, "the description is missing")
    if facts["schema_version"] != VERSION:
        raise OtherVersion(path, f"schema version {facts['schema_version']} instead of {VERSION}")
    source, number = path.parent.name, int(path.stem)
    if facts["source"] != source:
        raise BadSegment(path, f"it was written for source {facts['source']!r}")
    name = f"{source}/{path.stem}"
    if facts["tar_bytes"]:
        tar = workspace.segment_tar(name)
        found = tar.stat().st_size if tar.exists() else None
        if found != facts["tar_bytes"]:
            raise BadSegment(path, f"its tar should have {facts['tar_bytes']} bytes and has {found}")
    return Segment(
        name=name,
        path=path,
        source=source,
        number=number,
        kind=facts["kind"],
        run=facts["run"],
        items=footer.num_rows,
        tar_bytes=facts["tar_bytes"],
        written_at=datetime.fromisoformat(facts["written_at"]),
    )


def stored(workspace: Workspace, source: str | None = None, *, suffix: str = ".parquet") -> list[Path]:
    """Return the files with this suffix of all finished segments, or of a source's, by source and number."""
    found = workspace.store.glob(f"{source or '*'}/[0-9]*{suffix}")
    return sorted(path for path in found if path.stem.isascii() and path.stem.isdecimal())
