"""The record of a sample: one schema per corpus for sidecars and Parquet columns, without nulls.

A text that the catalog does not have is '', a list that it does not have is empty. Records are made
column by column from the rows of a plan (`sql/corpus/rows.sql`): a corpus has millions of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..core.masking import mask
from .layout import Shape

_TEXT = pa.string()
_COUNT = pa.int64()
_TURN = pa.struct([("role", _TEXT), ("content", _TEXT)])

FIELDS: dict[str, pa.DataType] = {
    "key": _TEXT,  # unique in the corpus: the id, and `-r1`, `-r2`... for a repeat
    "id": _TEXT,  # the item's id in the catalog: 32 hex digits
    "parent_id": _TEXT,  # the document of a page, the row of several images
    "source": _TEXT,
    "category": pa.list_(_TEXT),  # from the top of the tree down; empty: the root
    "caption": _TEXT,
    "conversations": pa.list_(_TURN),
    "language": _TEXT,  # BCP 47, of the caption
    "license": _TEXT,  # SPDX
    "uri": _TEXT,  # where the source has it
    "locator": _TEXT,  # member, row or page within the uri
    "width": _COUNT,  # pixels
    "height": _COUNT,
    "sha256": _TEXT,  # of the image's bytes as they stand here
    "original_sha256": _TEXT,  # of the bytes as the source had them
    "repeat": _COUNT,  # 0 for the first occurrence of the item in the corpus
    "meta": _TEXT,  # a JSON object: whatever else is known
}
"""Name and Arrow type of every field of a record, in order."""

CAPTIONS = {"captions": pa.list_(_TEXT)}
"""The field of all captions, in corpora with several captions of a sample."""
IMAGES = {"images": pa.list_(_TEXT)}
"""The field of the names of the images in order, in tars with several images of a sample."""


def record_fields(shape: Shape, format: str) -> dict[str, pa.DataType]:
    """Name and type of the fields of a corpus's records: FIELDS, and those that its shape adds."""
    images = IMAGES if shape.several and format == "webdataset" else {}
    return FIELDS | (CAPTIONS if shape.captions else {}) | images


def plan_column(field: str) -> str:
    """The column of a plan from which a field is made."""
    return "item_id" if field == "id" else field


_BATCH = 4096
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_quote: Callable[[str], str] = json.encoder.encode_basestring


def sidecars(plan: pa.Table, shape: Shape) -> Iterator[tuple[str, bytes]]:
    """Key and sidecar of each row of a plan, in order: a JSON object in UTF-8, keys in the schema's order."""
    fields = record_fields(shape, "webdataset")
    line = "{" + ",".join(f'"{name}":%s' for name in fields) + "}"
    for start in range(0, plan.num_rows, _BATCH):
        batch = plan.slice(start, _BATCH)
        columns = [_json(name, fields[name], batch, shape) for name in fields]
        keys = batch.column("key").to_pylist()
        for key, values in zip(keys, zip(*columns, strict=True), strict=True):
            yield key, (line % values).encode()


def _json(name: str, kind: pa.DataType, batch: pa.Table, shape: Shape) -> list[str]:
    """The values of a field as JSON."""
    if name == "images":
        return [_encode(names) for names in image_names(batch, shape)]
    if name == "captions":
        return [_encode(captions) for captions in _captions(batch)]
    column = batch.column(plan_column(name))
    if name == "category":
        return _each(column, lambda path: _encode(_steps(path)))
    if name == "conversations":
        return [_encode(turns) if turns else "[]" for turns in _turns(column).to_pylist()]
    if kind == _COUNT:
        return list(map(str, column.to_pylist()))
    if name == "uri":
        return list(map(_quote, map(mask, column.to_pylist())))
    return list(map(_quote, column.to_pylist()))


def arrays(plan: pa.Table, shape: Shape) -> list[pa.Array]:
    """The fields of a plan's rows as Arrow arrays, in order."""
    found = []
    for name, kind in record_fields(shape, "parquet").items():
        column = plan.column(plan_column(name))
        if name == "category":
            column = pa.array(_each(column, _steps), kind)
        elif name == "conversations":
            column = _turns(column)
        elif name == "captions":
            column = pa.array(_captions(plan), kind)
        elif name == "uri":
            column = pa.array(map(mask, column.to_pylist()), kind)
        found.append(column.cast(kind))
    return found


def image_names(plan: pa.Table, shape: Shape) -> list[list[str]]:
    """The names of the images of each row of a plan."""
    keys, counts = (plan.column(name).to_pylist() for name in ("key", "images"))
    return [shape.image_names(key, count) for key, count in zip(keys, counts, strict=True)]


def _captions(plan: pa.Table) -> list[list[str]]:
    """All captions of each row: where there are not several, the caption alone, if any."""
    several, first = (plan.column(name).to_pylist() for name in ("captions", "caption"))
    return [
        captions or ([caption] if caption else []) for captions, caption in zip(several, first, strict=True)
    ]


def _steps(path: str) -> list[str]:
    return path.split("/") if path else []


def _each(column: pa.ChunkedArray, change: Callable[[str], Any]) -> list[Any]:
    """`change` of each value of a text column, made once for equal values."""
    values = column.to_pylist()
    made = {value: change(value) for value in set(values)}
    return [made[value] for value in values]


def _turns(column: pa.ChunkedArray) -> pa.ListArray:
    """Conversations in which no role and no content is null."""
    lists = column.combine_chunks()
    lengths = pc.list_value_length(lists).fill_null(0)
    ends = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths).cast(pa.int32())])
    parts = [part.fill_null("") for part in lists.flatten().flatten()]
    return pa.ListArray.from_arrays(ends, pa.StructArray.from_arrays(parts, fields=list(_TURN)))
