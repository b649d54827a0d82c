"""Columns become conversations (in every format), captions, categories and bounded meta; bad rows fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem.adapters.fields import MAX_META, MAX_VALUE
from derlem.catalog.models import Failure, Item, Payload
from derlem.catalog.status import Reason
from derlem.core.errors import ConfigError

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TURNS = [
    {"role": "user", "content": "<image>\nNe bu?"},
    {"role": "assistant", "content": "Bir kedi."},
]


@pytest.fixture
def rows(tmp_path: Path, use: Callable[..., Any]) -> Callable[..., list[Item]]:
    """`rows({column: values}, features, **options)`: items of a file of these columns and an image."""

    def make(values: dict[str, Any], features: Any = None, **options: Any) -> list[Item]:
        count = max((len(column) for column in values.values()), default=1)
        table = pa.table({"image": pa.array([{"bytes": b"x", "path": None}] * count, IMAGE), **values})
        if features is not None:
            table = table.cast(features.arrow_schema)
        folder = tmp_path / "rows"
        folder.mkdir(exist_ok=True)
        pq.write_table(table, folder / "train.parquet")
        listed: list[Item] = use(dataset=folder, **options).items()
        return listed

    return make


@pytest.mark.parametrize(
    "value",
    [
        TURNS,
        [{"from": "human", "value": "<image>\nNe bu?"}, {"from": "gpt", "value": "Bir kedi."}],
        [
            {
                "role": "user",
                "content": [{"type": "image", "text": None}, {"type": "text", "text": "Ne bu?"}],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "Bir kedi."}]},
        ],
        [{"user": "<image>\nNe bu?", "assistant": "Bir kedi.", "source": "x"}],
        json.dumps(TURNS),
        {"from": ["human", "gpt"], "value": ["<image>\nNe bu?", "Bir kedi."]},
    ],
    ids=["messages", "sharegpt", "parts", "pairs", "json", "columns"],
)
def test_conversations_of_every_shape(value: Any, rows: Callable[..., list[Item]]) -> None:
    (item,) = rows({"talk": [value]}, columns={"conversations": "talk"})
    assert item.conversations == TURNS
    assert "talk" not in item.meta


@pytest.mark.parametrize(
    "value", ["[{", [{"role": "cat", "content": "miau"}], [{"role": "user", "content": None}]]
)
def test_an_invalid_conversation_rejects_its_row(value: Any, rows: Callable[..., list[Item]]) -> None:
    (item,) = rows({"talk": [value]}, columns={"conversations": "talk"})
    assert item.reason is Reason.BAD_ROW and "talk" in item.meta["detail"]


def test_a_missing_conversation_is_accepted(rows: Callable[..., list[Item]]) -> None:
    items = rows(
        {"talk": pa.array([None, []], pa.list_(pa.struct([("role", pa.string())])))},
        columns={"conversations": "talk"},
    )
    assert [(item.reason, item.conversations) for item in items] == [(None, None)] * 2


def test_captions_licenses_languages(rows: Callable[..., list[Item]]) -> None:
    columns = {
        "texts": [["", "  İkinci\r\nsatır "], []],
        "more": [{"tr": "bir"}, {"tr": None}],
        "rights": [" CC-BY-4.0", None],
    }
    items = rows(columns, columns={"caption": "texts", "language": "more.tr", "license": "rights"})
    assert [(i.caption, i.language, i.license) for i in items] == [
        ("  İkinci\nsatır ", "bir", "CC-BY-4.0"),
        (None, None, None),
    ]


def test_categories(rows: Callable[..., list[Item]]) -> None:
    import datasets

    names = datasets.ClassLabel(names=["kedi/van", "köpek"])
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": names,
            "path": datasets.List(datasets.Value("string")),
            "tags": datasets.List(names),
            "deep": {"kind": names},
        }
    )
    values = {
        "label": [0, -1],
        "path": [["a", "b"], []],
        "tags": [[1, 0], None],
        "deep": [{"kind": 1}, None],
    }

    def categories(column: str) -> list[str]:
        return [item.category for item in rows(values, features, columns={"category": column})]

    assert categories("label") == ["kedi/van", ""]
    assert categories("path") == ["a/b", ""]
    assert categories("tags") == ["köpek/kedi/van", ""]
    assert categories("deep.kind") == ["köpek", ""]
    items = rows(values, features, category="{label}/{deep.kind}")
    assert [item.category for item in items] == ["kedi/van/köpek", ""]
    assert items[0].meta["tags"] == ["köpek", "kedi/van"]


def test_meta_is_bounded_and_names_omitted_columns(rows: Callable[..., list[Item]]) -> None:
    columns = {
        "when": [datetime(2026, 1, 2)],
        "long": ["x" * MAX_VALUE],
        "blob": [b"y"],
        "revision": ["mine"],
        "odd": [float("nan")],
        "box": [[[1.0, 2.0]]],
        **{f"c{n}": ["z" * (MAX_VALUE - 20)] for n in range(6)},
    }
    (item,) = rows(columns)
    assert item.meta["when"] == "2026-01-02T00:00:00" and item.meta["box"] == [[1.0, 2.0]]
    assert item.meta["odd"] is None
    assert {"long", "revision"} <= set(item.meta["left_out"])
    assert len(json.dumps(item.meta)) < MAX_META + 300


def test_unknown_columns_are_errors_with_a_suggestion(rows: Callable[..., list[Item]]) -> None:
    for options, key in (
        ({"columns": {"caption": "captoin"}}, "columns.caption"),
        ({"columns": {"image": "imagee"}}, "columns.image"),
        ({"category": "x/{captoin}"}, "category"),
        ({"columns": {"category": "caption"}, "category": "x"}, "category"),
    ):
        with pytest.raises(ConfigError) as raised:
            rows({"caption": ["x"]}, **options)
        assert raised.value.key == key
        assert "did you mean" in str(raised.value) or key == "category"


def test_rows_without_an_image_are_rejected(tmp_path: Path, use: Callable[..., Any]) -> None:
    table = pa.table(
        {
            "left": pa.array([{"bytes": b"1", "path": None}, None, None], IMAGE),
            "pages": pa.array(
                [[{"bytes": b"2", "path": None}, None], [], [{"bytes": b"3", "path": None}]], pa.list_(IMAGE)
            ),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    used = use(dataset=tmp_path)
    items = used.items()
    assert [(item.images, item.reason, item.meta.get("detail")) for item in items] == [
        (3, Reason.NO_VALUE, "image 3 of 3: the list has no image here"),
        (1, Reason.NO_VALUE, "the row has no image"),
        (1, None, None),
    ]
    assert [result.data for result in used.read(items[2:]).values()] == [b"3"]


def test_bare_bytes_and_deep_columns(tmp_path: Path, use: Callable[..., Any]) -> None:
    table = pa.table(
        {
            "jpg": [b"1", None],
            "all": pa.array([[b"2", b"3"], None], pa.list_(pa.large_binary())),
            "deep": pa.array(
                [[{"side": {"bytes": b"4", "path": "p"}}], []], pa.list_(pa.struct([("side", IMAGE)]))
            ),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    used = use(dataset=tmp_path, columns={"image": ["jpg", "all", "deep.side"]})
    items = used.items()
    assert [item.images for item in items] == [4, 1]
    record, empty = used.read(items).values()
    assert (record.data, *record.more) == (b"1", b"2", b"3", b"4")
    assert empty == Failure(Reason.NO_VALUE, "the cell is empty")


def test_an_empty_column_is_no_image_of_its_row(tmp_path: Path, use: Callable[..., Any]) -> None:
    """As in MMMU, whose rows have up to seven images in as many columns."""
    table = pa.table({"image_1": [b"1", b"4"], "image_2": [b"2", None], "image_3": [b"3", b"5"]})
    pq.write_table(table, tmp_path / "x.parquet")
    used = use(dataset=tmp_path, columns={"image": ["image_1", "image_2", "image_3"]})
    found = [(result.data, *result.more) for result in used.read(used.items()).values()]
    assert found == [(b"1", b"2", b"3"), (b"4", b"5")]


def test_paths_stay_inside(tmp_path: Path, use: Callable[..., Any]) -> None:
    folder = tmp_path / "set"
    (folder / "img").mkdir(parents=True)
    (folder / "img" / "a.png").write_bytes(b"A")
    (tmp_path / "secret").write_bytes(b"S")
    (folder / "img" / "link.png").symlink_to(tmp_path / "secret")
    named = [
        "img/a.png",
        str(folder / "img" / "a.png"),
        "../secret",
        str(tmp_path / "secret"),
        "img/link.png",
        "img/b.png",
        "https://x.org/a.png",
        "file:///etc/passwd",
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps({"image": name}) + "\n" for name in named))
    used = use(dataset=folder)
    items = used.items()
    results = used.read([item for item in items if item.reason is None])
    outcome = [
        item.reason or getattr(results[item.item_id], "reason", None) or results[item.item_id].data
        for item in items
    ]
    assert outcome == [
        b"A",
        b"A",
        Reason.UNSAFE_PATH,
        Reason.UNSAFE_PATH,
        Reason.LINK,
        Reason.MISSING,
        Reason.BAD_ROW,
        Reason.UNSAFE_PATH,
    ]
    # The same paths in cells that should hold bytes.
    cells = [{"bytes": None, "path": name} for name in named]
    (folder / "train.jsonl").unlink()
    pq.write_table(pa.table({"image": pa.array(cells, IMAGE)}), folder / "train.parquet")
    used = use(dataset=folder)
    found = [getattr(result, "reason", None) for result in used.read(used.items()).values()]
    assert found[:2] == [None, None] and None not in found[2:]
    assert found[2] is Reason.UNSAFE_PATH and found[7] is Reason.UNSAFE_PATH


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(value=json_values)
def test_any_sidecar_gives_an_item_or_a_reason(value: Any, tmp_path_factory: Any) -> None:
    """Any JSON as conversation, caption and category gives an item or a bad row, and can be stored."""
    from derlem.adapters.fields import BadRow, Fields
    from derlem.adapters.huggingface.dataset_options import HuggingfaceOptions

    source = HuggingfaceOptions.model_validate(
        {
            "name": "s",
            "adapter": "huggingface",
            "license": "CC0-1.0",
            "dataset": "org/x",
            "columns": {"caption": "json.a", "conversations": "json.b", "category": "json.c"},
        }
    )
    fields = Fields(source.columns, "", ["split"], ["json"], features={"json": {"_type": "Json"}})
    for key in "abcd":
        try:
            values = fields.of({"json": {key: value}}, {"split": "train"})
        except BadRow:
            continue
        assert values["caption"] is None or values["caption"].encode()
        values["category"].encode()
        json.dumps(values["meta"], ensure_ascii=False, allow_nan=False).encode()


def test_payloads_are_bytes(rows: Callable[..., list[Item]], use: Callable[..., Any], tmp_path: Path) -> None:
    items = rows({})
    (result,) = use(dataset=tmp_path / "rows").read(items).values()
    assert result == Payload(b"x")
