"""One shard, from its plan to a durable file: the work of one worker, and the marker that it was done.

A marker names the content of its shard (its fingerprint) and how
the file looked when it was finished. A build that finds both unchanged leaves the shard alone.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..catalog.models import now
from ..core.durable import replace_file
from ..core.workspace import Workspace
from .files import HashingFile, replace_shard
from .layout import Shape
from .parquet_shard import write_parquet
from .segment_reader import Segments
from .tar_shard import write_tar

_WRITERS = {"webdataset": write_tar, "parquet": write_parquet}


@dataclass(frozen=True, slots=True)
class ShardTask:
    """What a worker needs to write a shard: no catalog, only files."""

    workspace: Workspace
    number: int
    first: int
    last: int
    format: str
    shape: Shape
    fingerprint: str
    plan: Path
    target: Path
    marker: Path


@dataclass(frozen=True, slots=True)
class Shard:
    """A finished shard. Positions are the manifest's, `last` excluded; `rewritten` by this build or not."""

    number: int
    path: Path
    first: int
    last: int
    samples: int
    bytes: int
    sha256: str
    built_at: datetime
    rewritten: bool


def finished(task: ShardTask) -> Shard | None:
    """The shard of a task if it is already there, as its marker describes it."""
    try:
        marker: dict[str, Any] = json.loads(task.marker.read_bytes())
        status = task.target.stat()
    except (FileNotFoundError, ValueError):
        return None
    wanted = {"fingerprint": task.fingerprint, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    if any(marker.get(name) != value for name, value in wanted.items()):
        return None
    return Shard(
        number=task.number,
        path=task.target,
        first=task.first,
        last=task.last,
        samples=marker["samples"],
        bytes=marker["bytes"],
        sha256=marker["sha256"],
        built_at=datetime.fromisoformat(marker["built_at"]),
        rewritten=False,
    )


def write_shard(task: ShardTask) -> Shard:
    """Write a shard under a temporary name, make it durable, give it its name, and mark it finished."""
    with pa.memory_map(str(task.plan)) as source:
        plan = pa.ipc.open_file(source).read_all()
    temporary = task.marker.with_name(f"{task.target.name}.{os.getpid()}.tmp")
    with Segments(task.workspace) as segments, io.FileIO(temporary, "w") as file, HashingFile(file) as sink:
        _WRITERS[task.format](sink, segments, plan, task.shape)
        sink.make_durable()
    replace_shard(temporary, task.target)
    shard = Shard(
        number=task.number,
        path=task.target,
        first=task.first,
        last=task.last,
        samples=plan.num_rows,
        bytes=sink.size,
        sha256=sink.sha256,
        built_at=now(),
        rewritten=True,
    )
    _mark(task, shard)
    task.plan.unlink()
    return shard


def _mark(task: ShardTask, shard: Shard) -> None:
    marker = {
        "fingerprint": task.fingerprint,
        "bytes": shard.bytes,
        "mtime_ns": task.target.stat().st_mtime_ns,
        "samples": shard.samples,
        "sha256": shard.sha256,
        "built_at": shard.built_at.isoformat(),
    }
    replace_file(task.marker, json.dumps(marker))
