"""Writes a shard as Parquet: an `image` column of bytes and path, and the fields of the record beside it."""

from __future__ import annotations

import json
from io import RawIOBase
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .record import FIELDS, arrays
from .segment_reader import Place, Segments, Window, groups

ROW_GROUP = 100_000_000
"""Bytes of images in a row group: what a reader holds at once, far below Arrow's 2 GiB per column."""

_PAGE_VALUES = 32
"""Values after which the writer looks whether a page (1 MB) is full: images are large values."""

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How Hugging Face keeps an image; its feature in the schema's metadata makes it one."""


def features() -> dict[str, Any]:
    """The Hugging Face features of a Parquet corpus, as the schema's metadata holds them.

    Lists are written in the bare form `[feature]`, which every version of `datasets` reads.
    """
    return {"image": {"_type": "Image"}} | {name: _feature(kind) for name, kind in FIELDS.items()}


def _feature(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"dtype": str(kind), "_type": "Value"}


def schema() -> pa.Schema:
    """The Arrow schema of a shard."""
    columns = [pa.field("image", IMAGE), *(pa.field(name, kind) for name, kind in FIELDS.items())]
    info = json.dumps({"info": {"features": features()}})
    return pa.schema(columns, metadata={"huggingface": info})


def write_parquet(file: RawIOBase, segments: Segments, plan: pa.Table, extension: str) -> None:
    """Write the samples of a plan, in order, a row group at a time; reproducible byte for byte."""
    columns = schema()
    leaves = [leaf for leaf in _leaves(columns) if leaf != "image.bytes"]
    window, start = Window(segments, 0), 0
    with pq.ParquetWriter(
        file,
        columns,
        compression={"image.bytes": "NONE"} | dict.fromkeys(leaves, "ZSTD"),
        use_dictionary=["source", "language", "license", "category.list.element"],
        write_statistics=["key", "id", "source", "sha256"],
        write_batch_size=_PAGE_VALUES,
    ) as writer:
        for places in groups(segments, plan, ROW_GROUP):
            rows = plan.slice(start, len(places))
            names = pc.binary_join_element_wise(rows.column("key"), extension, ".").combine_chunks()
            image = pa.StructArray.from_arrays([_images(window, places), names], fields=list(IMAGE))
            table = pa.Table.from_arrays([image, *arrays(rows)], schema=columns)
            writer.write_table(table, row_group_size=len(places))
            start += len(places)
        if plan.num_rows == 0:
            writer.write_table(columns.empty_table())


def _leaves(columns: pa.Schema) -> list[str]:
    """Paths of the leaf columns, as Parquet names them."""

    def walk(path: str, kind: pa.DataType) -> list[str]:
        if pa.types.is_list(kind):
            return walk(f"{path}.list.element", kind.value_type)
        if pa.types.is_struct(kind):
            return [leaf for field in kind for leaf in walk(f"{path}.{field.name}", field.type)]
        return [path]

    return [leaf for field in columns for leaf in walk(field.name, field.type)]


def _images(window: Window, places: list[Place]) -> pa.BinaryArray:
    """Images as one Arrow array whose buffer is the window itself: valid until the next call."""
    ends = np.cumsum([0, *(length for _, _, length, _ in places)])
    window.clear()
    window.has_room(int(ends[-1]))
    for place in places:
        window.reserve(place)
    offsets = pa.py_buffer(ends.astype(np.int32))
    return pa.BinaryArray.from_buffers(
        pa.binary(), len(places), [None, offsets, pa.py_buffer(window.filled())]
    )
