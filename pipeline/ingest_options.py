"""The configuration's `ingest` section: numbers of workers, their limits, sizes of tasks and segments."""

from __future__ import annotations

import os

from pydantic import ByteSize, Field

from ..core.options import StrictModel

MINIMUM_MEMORY = 256 * 1024**2
"""The minimum memory of one worker for items, in bytes."""


class IngestOptions(StrictModel):
    """Workers, their limits, and the frequency of commits."""

    workers: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)),
        ge=1,
        description="worker processes; default: all cores",
    )
    memory_limit: ByteSize = Field(
        default=ByteSize(4 * 1024**3),
        ge=MINIMUM_MEMORY,
        description="memory that one worker may use for items, in bytes or such as 4GiB",
    )
    deadline: float = Field(default=60.0, gt=0, description="seconds that one item may take to decode")
    attempts: int = Field(
        default=10,
        ge=1,
        description="maximum times that `run` reads an item that fails for a transient reason",
    )
    retry_after: float = Field(
        default=300.0,
        ge=0,
        description="seconds before `run` reads a failed item again; doubled with each attempt, up to a day",
    )
    batch: int = Field(default=1000, ge=1, description="maximum items per task")
    segment_items: int = Field(default=2000, ge=1, description="items after which a segment is closed")
    segment_bytes: ByteSize = Field(
        default=ByteSize(512 * 1024**2), description="bytes of images after which a segment is closed"
    )
    commit_seconds: float = Field(
        default=15.0, gt=0, description="seconds after which a segment is closed, and between commits"
    )
    commit_items: int = Field(
        default=50_000, ge=1, description="uncommitted outcomes after which a commit is made earlier"
    )
