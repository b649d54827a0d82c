"""Converts items to Arrow tables and back, the only conversion for files. Does not need the database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from operator import attrgetter
from typing import Any

import pyarrow as pa

from .models import Item, MoreImage
from .status import Reason, Status

_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
_OBJECTS = ("meta", "locator_state")


def dump(value: object) -> str:
    """Return JSON in the catalog's form: sorted keys, no spaces, characters unescaped."""
    return "{}" if value == {} else _ENCODER.encode(value)


def to_table(items: Sequence[Item], schema: pa.Schema) -> pa.Table:
    """Return the items as rows of a segment, in order; `schema` is the schema of segments."""
    columns = []
    for name in schema.names:
        column = list(map(attrgetter(name), items))
        if name in _OBJECTS:
            column = [dump(value) for value in column]
        elif name == "conversations":
            column = [dump(value) if value else None for value in column]
        elif name == "more_images":
            column = [images and list(map(asdict, images)) for images in column]
        columns.append(column)
    return pa.table(columns, schema=schema)


def from_table(table: pa.Table) -> Iterator[Item]:
    """Yield the items of a table with columns of `items`; a column `segment` is ignored."""
    names = [name for name in table.column_names if name != "segment"]
    for values in zip(*(table.column(name).to_pylist() for name in names), strict=True):
        yield from_row(dict(zip(names, values, strict=True)))


def from_row(row: Mapping[str, Any]) -> Item:
    """Return the item of one row with JSON columns as text."""
    fields = dict(row)
    for name in _OBJECTS:
        fields[name] = {} if fields[name] == "{}" else json.loads(fields[name])  # most are empty
    if fields["conversations"] is not None:
        fields["conversations"] = json.loads(fields["conversations"])
    if fields["more_images"] is not None:
        fields["more_images"] = [MoreImage(**image) for image in fields["more_images"]]
    fields["status"] = Status(fields["status"])
    if fields["reason"] is not None:
        fields["reason"] = Reason(fields["reason"])
    return Item(**fields)
