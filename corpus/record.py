"""The record of a sample: one fixed schema for sidecars and Parquet columns, without nulls.

A text that the catalog does not have is '', a list that it does not have is empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

_TEXT = pa.string()
_COUNT = pa.int64()

FIELDS: dict[str, pa.DataType] = {
    "key": _TEXT,  # unique in the corpus: the id, and `-r1`, `-r2`... for a repeat
    "id": _TEXT,  # the item's id in the catalog: 32 hex digits
    "parent_id": _TEXT,  # the document of a page, the row of several images
    "source": _TEXT,
    "category": pa.list_(_TEXT),  # from the top of the tree down; empty: the root
    "caption": _TEXT,
    "conversations": pa.list_(pa.struct([("role", _TEXT), ("content", _TEXT)])),
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

PLAN_COLUMNS = (
    "key",
    "item_id",
    "repeat",
    "parent_id",
    "source",
    "category",
    "caption",
    "conversations",
    "language",
    "license",
    "uri",
    "locator",
    "width",
    "height",
    "sha256",
    "original_sha256",
    "meta",
)
"""The columns of a plan (`sql/corpus/rows.sql`) that decide a record."""


def records(plan: pa.Table) -> Iterator[dict[str, Any]]:
    """The record of each row of a plan, in order."""
    columns = {name: plan.column(name) for name in PLAN_COLUMNS}
    for start in range(0, plan.num_rows, 4096):
        lists = [column.slice(start, 4096).to_pylist() for column in columns.values()]
        for values in zip(*lists, strict=True):
            yield _record(dict(zip(columns, values, strict=True)))


def _record(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": row["key"],
        "id": row["item_id"],
        "parent_id": row["parent_id"],
        "source": row["source"],
        "category": row["category"].split("/") if row["category"] else [],
        "caption": row["caption"],
        "conversations": [
            {"role": turn["role"] or "", "content": turn["content"] or ""} for turn in row["conversations"]
        ],
        "language": row["language"],
        "license": row["license"],
        "uri": row["uri"],
        "locator": row["locator"],
        "width": row["width"],
        "height": row["height"],
        "sha256": row["sha256"],
        "original_sha256": row["original_sha256"],
        "repeat": row["repeat"],
        "meta": row["meta"],
    }


def sidecar(record: dict[str, Any]) -> bytes:
    """A record as the JSON member of a sample: UTF-8, keys in the schema's order."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
