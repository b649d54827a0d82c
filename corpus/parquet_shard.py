"""Writes a shard as Parquet: an `image` column of bytes and path, and the fields of the record beside it."""

from __future__ import annotations

import json
from io import RawIOBase
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..catalog.workspace import Workspace
from .record import FIELDS, records
from .splice import Range, fill

ROW_GROUP = 100_000_000
"""Bytes of images in a row group: what a reader holds at once, far below Arrow's 2 GiB per column."""

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How Hugging Face keeps an image; its feature in the schema's metadata makes it one."""


def features() -> dict[str, Any]:
    """The Hugging Face features of a Parquet corpus, as they stand in the schema's metadata.

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


def write_parquet(file: RawIOBase, workspace: Workspace, plan: pa.Table, extension: str) -> None:
    """Write the samples of a plan, in order, a row group at a time; reproducible byte for byte."""
    columns = schema()
    lengths = plan.column("length").to_pylist()
    with pq.ParquetWriter(
        file,
        columns,
        compression={"image.bytes": "NONE"}
        | {path: "ZSTD" for path in _leaves(columns) if path != "image.bytes"},
        use_dictionary=["source", "language", "license", "category.list.element"],
        write_statistics=["key", "id", "source", "sha256"],
    ) as writer:
        start = 0
        while start < plan.num_rows:
            stop, total = start + 1, lengths[start]
            while stop < plan.num_rows and total + lengths[stop] <= ROW_GROUP:
                total += lengths[stop]
                stop += 1
            group = plan.slice(start, stop - start)
            writer.write_table(_group(workspace, group, extension, columns), row_group_size=stop - start)
            start = stop
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


def _group(workspace: Workspace, plan: pa.Table, extension: str, columns: pa.Schema) -> pa.Table:
    rows = list(records(plan))
    names = pa.array([f"{row['key']}.{extension}" for row in rows], pa.string())
    image = pa.StructArray.from_arrays([_images(workspace, plan), names], fields=list(IMAGE))
    arrays = [pa.array([row[name] for row in rows], kind) for name, kind in FIELDS.items()]
    return pa.Table.from_arrays([image, *arrays], schema=columns)


def _images(workspace: Workspace, plan: pa.Table) -> pa.BinaryArray:
    """The images of a plan as one Arrow array, read straight into its buffer."""
    lengths = plan.column("length").to_pylist()
    ends = [0]
    for length in lengths:
        ends.append(ends[-1] + length)
    data = bytearray(ends[-1])
    view = memoryview(data)
    places = zip(
        plan.column("segment").to_pylist(), plan.column("offset").to_pylist(), ends, lengths, strict=False
    )
    ranges: list[Range] = [
        (segment, offset, view[start : start + length]) for segment, offset, start, length in places
    ]
    fill(workspace, ranges)
    offsets = pa.array(ends, pa.int32()).buffers()[1]
    return pa.BinaryArray.from_buffers(pa.binary(), len(lengths), [None, offsets, pa.py_buffer(data)])
