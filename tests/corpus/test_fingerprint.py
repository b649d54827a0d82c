"""A fingerprint follows the values of a plan and nothing else."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from derlem.corpus.fingerprint import fingerprint
from derlem.corpus.layout import Shape
from derlem.corpus.record import plan_column, record_fields

JPEG = Shape("jpg")
COLUMNS = [plan_column(name) for name in record_fields(JPEG, "webdataset")]
TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
NUMBERS = {"repeat", "width", "height"}
turn = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": st.text(max_size=3)})
row = st.fixed_dictionaries(
    {
        name: st.lists(turn, max_size=3)
        if name == "conversations"
        else st.integers(0, 3)
        if name in NUMBERS
        else st.text(max_size=2)
        for name in COLUMNS
    }
)


Row = dict[str, Any]


def plan(rows: list[Row]) -> pa.Table:
    return pa.table(
        {
            name: pa.array(
                [row[name] for row in rows],
                TURNS if name == "conversations" else pa.int64() if name in NUMBERS else pa.string(),
            )
            for name in COLUMNS
        }
    )


@given(st.lists(row, max_size=6), st.lists(row, max_size=3), st.data())
def test_memory_does_not_matter(rows: list[Row], others: list[Row], data: st.DataObject) -> None:
    whole = fingerprint(plan(rows), "webdataset", JPEG)
    surrounded = plan([*others, *rows, *others]).slice(len(others), len(rows))
    assert fingerprint(surrounded, "webdataset", JPEG) == whole
    cut = data.draw(st.integers(0, len(rows)))
    parts = pa.concat_tables([plan(rows[:cut]), plan(rows[cut:])])
    assert fingerprint(parts, "webdataset", JPEG) == whole


@given(st.lists(row, max_size=4), st.lists(row, max_size=4))
def test_values_do(rows: list[Row], others: list[Row]) -> None:
    same = fingerprint(plan(rows), "parquet", JPEG) == fingerprint(plan(others), "parquet", JPEG)
    assert same == (rows == others)


def test_format_and_extension_do() -> None:
    forms = [(form, Shape(ext)) for form in ("webdataset", "parquet") for ext in ("jpg", "png")]
    assert len({fingerprint(plan([]), form, shape) for form, shape in forms}) == 4
