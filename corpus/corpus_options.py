"""The `corpus:` section: how a corpus is written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ByteSize, Field

from ..core.options import StrictModel


def _positive(size: ByteSize) -> ByteSize:
    if size < 1:
        raise ValueError("a shard holds at least one byte")
    return size


class CorpusOptions(StrictModel):
    """The form of the shards."""

    format: Literal["webdataset", "parquet"] = Field(
        default="webdataset", description="tar shards for webdataset, or Parquet shards with an image column"
    )
    shard_size: Annotated[ByteSize, AfterValidator(_positive)] = Field(
        default=ByteSize(10**9),
        description="bytes of a shard, such as 1GB or 512MiB; a sample that passes it starts the next",
    )
