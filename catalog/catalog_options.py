"""The configuration's `catalog` section."""

from __future__ import annotations

from pydantic import ByteSize, Field

from ..core.options import StrictModel

MINIMUM = 8 * 1024**2
"""Bytes with which DuckDB can open a catalog and record the end of a run."""


class CatalogOptions(StrictModel):
    """The memory of the catalog's queries."""

    memory_limit: ByteSize | None = Field(
        default=None,
        ge=MINIMUM,
        description="memory of the catalog's queries, in bytes or such as 4GiB; "
        "default: 80% of the machine's memory",
    )
