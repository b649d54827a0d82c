"""The same dataset in five formats gives the same images, captions, categories and conversations."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from derlem.catalog.models import Item, Payload
from derlem.core.errors import ConfigError

PLAIN = {"caption": "caption", "category": "label", "conversations": "conversations", "language": "tongue"}
COLUMNS = {
    "parquet": PLAIN,
    "arrow": PLAIN,
    "saved": PLAIN,
    "imagefolder": PLAIN,
    "webdataset": {key: f"json.{name}" for key, name in PLAIN.items()},
}


def _described(item: Item, payload: Payload) -> tuple[Any, ...]:
    turns = json.dumps(item.conversations)
    digests = tuple(sha256(data).hexdigest() for data in (payload.data, *payload.more))
    assert len(digests) == item.images
    return digests, item.caption, item.category, item.language, turns


@pytest.mark.parametrize("shape", COLUMNS)
def test_every_shape_gives_the_same_set(
    shape: str, shapes: dict[str, Path], examples: list[Any], use: Callable[..., Any]
) -> None:
    used = use(dataset=shapes[shape], columns=COLUMNS[shape])
    items = used.items()
    results = used.read(items)
    assert all(isinstance(result, Payload) for result in results.values())
    expected: Counter[Any] = Counter()
    for example in examples:
        turns = [
            {"role": "user", "content": example.turns[0]["value"]},
            {"role": "assistant", "content": example.turns[1]["value"]},
        ]
        digests = tuple(sha256(image.data).hexdigest() for image in (example.image, *example.extra))
        expected[digests, example.image.caption, example.image.label, "en", json.dumps(turns)] += 1
    assert Counter(_described(item, results[item.item_id]) for item in items) == expected
    assert len({item.item_id for item in items}) == len(items) == len(examples)
    assert {item.parent_id for item in items} == {None}
    assert sum(item.images for item in items) == sum(1 + len(example.extra) for example in examples)


@pytest.mark.parametrize("shape", COLUMNS)
def test_listing_is_stable_and_groups_can_be_read_separately(
    shape: str, shapes: dict[str, Path], use: Callable[..., Any]
) -> None:
    used = use(dataset=shapes[shape], columns=COLUMNS[shape])
    items = used.items()
    assert items == use(dataset=shapes[shape], columns=COLUMNS[shape]).items()
    whole = used.read(items)
    some = items[5::7]
    assert used.read(some) == {item.item_id: whole[item.item_id] for item in some}
    assert used.read(list(reversed(some))) == {item.item_id: whole[item.item_id] for item in some}


def test_one_image_per_row_needs_no_parent(shapes: dict[str, Path], use: Callable[..., Any]) -> None:
    items = use(dataset=shapes["parquet"], columns={"image": "image", "category": "label"}).items()
    assert {item.parent_id for item in items} == {None}
    assert items[0].locator.count("/") == 1
    assert items[0].uri == "data/train-00000-of-00002.parquet"
    assert items[0].meta["number"] == 0 and "image" not in items[0].meta and "label" not in items[0].meta


def test_units_are_row_groups(shapes: dict[str, Path], use: Callable[..., Any]) -> None:
    items = use(dataset=shapes["parquet"], columns={"image": "image"}).items()
    assert Counter(item.partition_key for item in items) == {
        f"data/train-0000{shard}-of-00002.parquet#00000{group}": size
        for shard in range(2)
        for group, size in enumerate((8, 8, 4))
    }


@pytest.mark.parametrize("shape", ["parquet", "arrow", "webdataset"])
def test_finished_files_are_not_needed_to_resume(
    shape: str, shapes: dict[str, Path], tmp_path: Path, use: Callable[..., Any]
) -> None:
    copy = tmp_path / shape
    shutil.copytree(shapes[shape], copy)
    used = use(dataset=copy, columns=COLUMNS[shape])
    items = used.items()
    middle = next(at for at, item in enumerate(items) if item.uri == items[-1].uri) + 5
    reading = used.adapter.read(used.source, iter(items))
    done = {name for name, _ in islice(reading, middle)}
    reading.close()  # the process is gone; its finished items stay finished
    (copy / items[0].uri).unlink()
    left = [item for item in items if item.item_id not in done]
    results = use(dataset=copy, columns=COLUMNS[shape]).read(left)
    assert {item.uri for item in left} == {items[-1].uri}
    assert all(isinstance(result, Payload) for result in results.values())


def test_a_template_over_columns(shapes: dict[str, Path], use: Callable[..., Any]) -> None:
    source = {"dataset": shapes["parquet"], "columns": {"image": "image"}}
    items = use(**source, category="clipart/{label}/{split}/{dir}/{number}").items()
    assert items[3].category == f"clipart/{items[3].meta['label']}/train/data/3"
    items = use(
        **source | {"columns": {"image": "image", "category": "label"}}, category="c/{category}"
    ).items()
    assert items[0].category.startswith("c/") and len(items[0].category) > 2


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("metadata.jsonl", '{"file_name": "a.jpg", "text"', "ArrowInvalid: JSON parse error"),
        ("metadata.jsonl", '{"file_name": "a.jpg", "text": "\\ud83d"}', "ArrowInvalid: JSON parse error"),
        ("metadata.jsonl", '{"name": "a.jpg"}', "must be present as dictionary key in metadata files"),
        ("metadata.jsonl", "", "IndexError"),
        ("metadata.csv", 'file_name,text\na.jpg,"x', "ParserError"),
        ("train.jsonl", '{"image": "a.jpg"}\n{"image": "b', "JSON parse error"),
        ("train.csv", "image,text\na.jpg,x,y,z\nb.jpg,1", "more fields than the header"),
    ],
)
def test_datasets_that_cannot_be_parsed_are_errors(
    name: str, content: str, text: str, tmp_path: Path, misbehaving: ModuleType, use: Callable[..., Any]
) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    if name.startswith("metadata"):
        (folder / "a.jpg").write_bytes(misbehaving.jpeg())
    (folder / name).write_text(content)
    with pytest.raises(ConfigError, match=re.escape(text)):
        use(dataset=folder, columns={"image": "image"}).items()


def _parquet(path: Path, columns: dict[str, pa.Array], text: bytes | None = None) -> Path:
    table = pa.table(columns)
    if text is not None:
        table = table.replace_schema_metadata({b"huggingface": text})
    path.mkdir()
    pq.write_table(table, path / "train-00000-of-00001.parquet")
    return path


def _images(examples: list[Any]) -> pa.Array:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": example.image.data, "path": None} for example in examples[:2]], kind)


def test_columns_of_types_without_features(
    examples: list[Any], tmp_path: Path, use: Callable[..., Any]
) -> None:
    """Spark writes maps."""
    counts = pa.array([[("views", 3)], None], pa.map_(pa.string(), pa.int64()))
    folder = _parquet(tmp_path / "maps", {"image": _images(examples), "counts": counts})
    used = use(dataset=folder)
    items = used.items()
    assert [item.meta.get("counts") for item in items] == [[["views", 3]], None]
    assert all(isinstance(result, Payload) for result in used.read(items).values())


@pytest.mark.parametrize(
    "text",
    [b"{", b"\xff", b'{"info": {"features": {"image": {"_type": "Nonsense"}}}}', b'{"info": 5}'],
)
def test_features_that_cannot_be_read(
    text: bytes, examples: list[Any], tmp_path: Path, use: Callable[..., Any]
) -> None:
    folder = _parquet(tmp_path / "text", {"image": _images(examples)}, text)
    with pytest.raises(ConfigError, match="cannot be read"):
        use(dataset=folder).items()
