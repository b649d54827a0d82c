"""Writes a shard as Parquet: images as bytes and path, and the fields of the record beside them."""

from __future__ import annotations

import json
from io import RawIOBase
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .layout import Shape
from .record import arrays, image_names, record_fields
from .segment_reader import Place, Segments, Window, groups

ROW_GROUP = 100_000_000
"""Bytes of images in a row group: what a reader holds at once, far below Arrow's 2 GiB per column."""

_PAGE_VALUES = 32
"""Values after which the writer looks whether a page (1 MB) is full: images are large values."""

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How Hugging Face keeps an image; its feature in the schema's metadata makes it one."""


def features(shape: Shape) -> dict[str, Any]:
    """The Hugging Face features of a Parquet corpus, as the schema's metadata holds them.

    Lists are written in the bare form `[feature]`, which every version of `datasets` reads.
    """
    image = {"_type": "Image"}
    images: dict[str, Any] = {"images": [image]} if shape.several else {"image": image}
    return images | {name: _feature(kind) for name, kind in record_fields(shape, "parquet").items()}


def _feature(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"dtype": str(kind), "_type": "Value"}


def schema(shape: Shape) -> pa.Schema:
    """The Arrow schema of a shard: a column `image`, or `images` where samples have several."""
    image = pa.field("images", pa.list_(IMAGE)) if shape.several else pa.field("image", IMAGE)
    columns = [image, *(pa.field(name, kind) for name, kind in record_fields(shape, "parquet").items())]
    info = json.dumps({"info": {"features": features(shape)}})
    return pa.schema(columns, metadata={"huggingface": info})


def shard_writer(file: RawIOBase, columns: pa.Schema) -> pq.ParquetWriter:
    """A writer of row groups of a schema that `schema` makes."""
    payload = next(leaf for leaf in ("image.bytes", "images.list.element.bytes") if leaf in _leaves(columns))
    leaves = [leaf for leaf in _leaves(columns) if leaf != payload]
    return pq.ParquetWriter(
        file,
        columns,
        compression={payload: "NONE"} | dict.fromkeys(leaves, "ZSTD"),
        use_dictionary=["source", "language", "license", "category.list.element"],
        write_statistics=["key", "id", "source", "sha256"],
        write_batch_size=_PAGE_VALUES,
    )


def write_parquet(file: RawIOBase, segments: Segments, plan: pa.Table, shape: Shape) -> None:
    """Write the samples of a plan, in order, a row group at a time; reproducible byte for byte.

    A file of no samples has no row group: `datasets` cannot read an empty one.
    """
    columns = schema(shape)
    window, start = Window(segments, 0), 0
    with shard_writer(file, columns) as writer:
        for count, places in groups(segments, plan, ROW_GROUP):
            rows = plan.slice(start, count)
            image = _images(window, places, rows, shape)
            table = pa.Table.from_arrays([image, *arrays(rows, shape)], schema=columns)
            writer.write_table(table, row_group_size=count)
            start += count


def _leaves(columns: pa.Schema) -> list[str]:
    """Paths of the leaf columns, as Parquet names them."""

    def walk(path: str, kind: pa.DataType) -> list[str]:
        if pa.types.is_list(kind):
            return walk(f"{path}.list.element", kind.value_type)
        if pa.types.is_struct(kind):
            return [leaf for field in kind for leaf in walk(f"{path}.{field.name}", field.type)]
        return [path]

    return [leaf for field in columns for leaf in walk(field.name, field.type)]


def _images(window: Window, places: list[Place], rows: pa.Table, shape: Shape) -> pa.Array:
    """The images of rows: structs of bytes and path, or lists of them where samples have several."""
    contents = _contents(window, places)
    if not shape.several:
        names = pc.binary_join_element_wise(rows.column("key"), shape.extension, ".").combine_chunks()
        return pa.StructArray.from_arrays([contents, names], fields=list(IMAGE))
    names = [name for sample in image_names(rows, shape) for name in sample]
    images = pa.StructArray.from_arrays([contents, pa.array(names, pa.string())], fields=list(IMAGE))
    ends = np.cumsum([0, *rows.column("images").to_pylist()])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), images)


def _contents(window: Window, places: list[Place]) -> pa.BinaryArray:
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
