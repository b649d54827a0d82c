"""Rows of columnar files are read field by field, and equal what pyarrow reads."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derlem.adapters.huggingface.columnar import ArrowRows, ColumnarFile, ParquetRows

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
SCHEMA = pa.schema(
    {
        "image": IMAGE,
        "nested": pa.struct({"image": IMAGE, "words": pa.list_(pa.string())}),
        "pages": pa.list_(IMAGE),
    }
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


images = st.fixed_dictionaries({"bytes": maybe(st.binary(max_size=4)), "path": maybe(st.text(max_size=4))})
rows = st.fixed_dictionaries(
    {
        "image": maybe(images),
        "nested": maybe(
            st.fixed_dictionaries(
                {"image": maybe(images), "words": maybe(st.lists(maybe(st.text(max_size=3)), max_size=3))}
            )
        ),
        "pages": maybe(st.lists(maybe(images), max_size=3)),
    }
)


def write(form: str, path: Path, table: pa.Table, group: int) -> ColumnarFile:
    if form == "parquet":
        pq.write_table(table, path, row_group_size=group)
        return ParquetRows(path)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, SCHEMA) as writer:
        writer.write_table(table, max_chunksize=group)
    return ArrowRows(path)


@pytest.mark.parametrize("form", ["parquet", "arrow"])
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_chosen_rows(tmp_path_factory: pytest.TempPathFactory, form: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(rows, min_size=1, max_size=12))
    group = data.draw(st.integers(1, 12))
    names = data.draw(st.lists(st.sampled_from(SCHEMA.names), min_size=1, unique=True))
    file = write(form, tmp_path_factory.mktemp("rows") / "file", pa.Table.from_pylist(values, SCHEMA), group)
    try:
        for number, begin in enumerate(range(0, len(values), group)):
            part = values[begin : begin + group]
            places = data.draw(st.lists(st.sampled_from(range(len(part))), unique=True).map(sorted))
            wanted = [(place, {name: part[place][name] for name in names}) for place in places]
            assert list(file.chosen(number, places, names)) == wanted
    finally:
        file.close()
