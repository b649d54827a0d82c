"""JSON and CSV files that name images by path, columns of bytes, and large values in dictionaries."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from derlem.adapters.huggingface.columnar import READ_BYTES
from derlem.catalog.models import Payload
from derlem.core.errors import ConfigError
from derlem.core.parquet_batches import batch_rows

TEXTS = ["bir, iki", 'üç "dört"', "beş", ""]


def rows() -> list[dict[str, Any]]:
    return [{"image": f"{number}.jpg", "text": text} for number, text in enumerate(TEXTS)]


def csv_text(delimiter: str) -> str:
    lines = [delimiter.join(("image", "text"))]
    for row in rows():
        text = row["text"]
        if delimiter in text or '"' in text:
            text = '"' + text.replace('"', '""') + '"'
        lines.append(delimiter.join((row["image"], text)))
    return "\n".join(lines) + "\n"


FILES = {
    "array.json": json.dumps(rows()),
    "lines.jsonl": "".join(json.dumps(row) + "\n" for row in rows()),
    "comma.csv": csv_text(","),
    "semicolon.csv": csv_text(";"),
    "tab.tsv": csv_text("\t"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("named", [True, False])
def test_rows_are_those_that_datasets_reads(
    name: str, named: bool, tmp_path: Path, misbehaving: ModuleType, use: Callable[..., Any]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_text(FILES[name])
    for number in range(len(TEXTS)):
        (tmp_path / "data" / f"{number}.jpg").write_bytes(misbehaving.jpeg())
    columns = {"caption": "text"} | ({"image": "image"} if named else {})
    used = use(dataset=tmp_path / "data", data_files=name, columns=columns)
    items = used.items()
    assert all(isinstance(result, Payload) for result in used.read(items).values())
    import datasets

    options = {"sep": ";"} if name == "semicolon.csv" else {}
    loaded = datasets.load_dataset(
        str(tmp_path / "data"), data_files=name, split="train", cache_dir=str(tmp_path / "c"), **options
    )
    assert [item.caption for item in items] == [text or None for text in loaded["text"]]
    assert len(items) == len(TEXTS)


def test_a_declared_delimiter(tmp_path: Path, misbehaving: ModuleType, use: Callable[..., Any]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("image^text\n0.jpg^bir\n")
    (tmp_path / "data" / "0.jpg").write_bytes(misbehaving.jpeg())
    used = use(dataset=tmp_path / "data", data_files="a.csv", delimiter="^", columns={"caption": "text"})
    assert [item.caption for item in used.items()] == ["bir"]


def test_captions_of_bytes_are_rejected(
    tmp_path: Path, misbehaving: ModuleType, use: Callable[..., Any]
) -> None:
    (tmp_path / "data").mkdir()
    table = pa.table(
        {
            "image": pa.array([{"bytes": misbehaving.jpeg(), "path": None}]),
            "text": pa.array([b"bir"], pa.binary()),
            "label": pa.array([b"kedi"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "data" / "train.parquet")
    for key, name in (("caption", "text"), ("category", "label")):
        with pytest.raises(ConfigError, match=f"'{name}' contains bytes") as error:
            use(dataset=tmp_path / "data", columns={key: name}).items()
        assert error.value.key == f"columns.{key}"


def test_no_caption_at_all_is_one_warning(
    tmp_path: Path, misbehaving: ModuleType, use: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    table = pa.table(
        {
            "image": pa.array([{"bytes": misbehaving.jpeg(), "path": None}] * 3),
            "text": pa.array([None, "", None], pa.string()),
        }
    )
    pq.write_table(table, tmp_path / "data" / "train.parquet")
    with caplog.at_level(logging.WARNING):
        use(dataset=tmp_path / "data", columns={"caption": "text"}).items()
    warnings = [record.getMessage() for record in caplog.records if "caption" in record.getMessage()]
    assert warnings == ["hosted: 0 of 3 items have a caption in the column 'text'"]


def test_one_value_for_all_rows_is_decoded_a_few_rows_at_a_time(
    tmp_path: Path, use: Callable[..., Any]
) -> None:
    blob = b"\xff\xd8\xff" + bytes(range(256)) * 2**13  # 2 MiB
    one = pa.array([{"bytes": blob, "path": None}])
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 200, pa.int32()), one.field("bytes"))
    images = pa.StructArray.from_arrays(
        [column.dictionary_decode(), pa.nulls(200, pa.string())], ["bytes", "path"]
    )
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "train.parquet"
    pq.write_table(pa.table({"image": images}), path)
    group = pq.read_metadata(path).row_group(0)
    assert group.total_byte_size < 3 * 2**20  # the blob is there once
    assert batch_rows(group, {"image"}, READ_BYTES, 4096) <= 8
    used = use(dataset=tmp_path / "data", columns={"image": "image"})
    items = used.items()
    before = pa.default_memory_pool().bytes_allocated()
    held = 0
    for _, payload in used.adapter.read(used.source, iter(items)):
        assert payload.data == blob
        held = max(held, pa.default_memory_pool().bytes_allocated() - before)
    assert held < 4 * READ_BYTES
