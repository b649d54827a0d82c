"""Lists in every format give the same items, and a bad row does not affect other rows."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tracemalloc
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from derlem.adapters.base import Context
from derlem.adapters.registry import adapter_class
from derlem.adapters.urls.adapter import UrlsAdapter, UrlsOptions
from derlem.catalog.models import Item
from derlem.catalog.status import Reason
from derlem.core.errors import ConfigError
from derlem.core.workspace import Workspace

ROWS = [
    {"url": "https://a.example.org/1.jpg", "alt": 'Bir kuş, "uçar"', "label": "kuşlar/serçe", "w": "10"},
    {"url": "http://b.example.org/2 b.jpg?x=1", "alt": "line\nbreak", "label": "", "w": "20"},
    {"url": "https://a.example.org/1.jpg", "alt": "the same again", "label": "kuşlar", "w": "30"},
    {"url": "https://MÜZE.example.tr:8080/ç.png", "alt": "", "label": "müze", "w": "40"},
]
COLUMNS = {"caption": "alt", "category": "label"}
HOSTS = ["a.example.org", "b.example.org", "a.example.org", "xn--mze-hoa.example.tr"]

Discover = Callable[..., list[Item]]


@pytest.fixture
def discover(tmp_path: Path) -> Discover:
    """`discover(path, ...)`: the items of a list, or of all lists in a folder."""

    def run(path: Path, **options: Any) -> list[Item]:
        source = UrlsOptions(name="web", adapter="urls", license="CC0-1.0", path=str(path), **options)
        adapter = UrlsAdapter(Context(Workspace(tmp_path / "work")))
        return [item for batch in adapter.discover(source) for item in batch]

    return run


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows in the format of the name's suffix."""
    name = path.name
    if ".parquet" in name:
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
        return path
    if "json" in name:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        import csv
        import io

        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]), delimiter="\t" if ".tsv" in name else ",")
        writer.writeheader()
        writer.writerows(rows)
        text = out.getvalue()
    packers: dict[str, Callable[[bytes], bytes]] = {
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".zst": zstandard.compress,
    }
    path.write_bytes(packers.get(path.suffix, bytes)(text.encode()))
    return path


@pytest.mark.parametrize(
    "name",
    [
        "l.csv",
        "l.tsv",
        "l.jsonl",
        "l.ndjson",
        "l.parquet",
        "l.csv.gz",
        "l.jsonl.zst",
        "l.tsv.bz2",
        "l.jsonl.xz",
    ],
)
def test_every_format_gives_the_same_items(name: str, tmp_path: Path, discover: Discover) -> None:
    path = write(tmp_path / name, ROWS)
    items = discover(path, columns=COLUMNS)
    assert [item.uri for item in items] == [row["url"] for row in ROWS]
    assert [item.caption for item in items] == [row["alt"] or None for row in ROWS]
    assert [item.category for item in items] == ["kuşlar/serçe", "", "kuşlar", "müze"]
    assert [item.meta for item in items] == [{"w": row["w"]} for row in ROWS]
    assert [item.partition_key for item in items] == HOSTS
    assert items[0].item_id == items[2].item_id, "the same URL is the same item"
    assert not any(item.reason for item in items)


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["list.csv", "list.tsv.gz", "list.jsonl"])
def test_lists_in_utf_16(name: str, coding: str, tmp_path: Path, discover: Discover) -> None:
    path = write(tmp_path / name, ROWS)
    before = discover(path)
    packed = gzip if path.suffix == ".gz" else None
    text = packed.decompress(path.read_bytes()) if packed else path.read_bytes()
    wide = ("\ufeff" + text.decode()).encode(coding)
    for end in (b"", b"\r"):  # half of a character
        path.write_bytes(packed.compress(wide + end) if packed else wide + end)
        found = discover(path)
        assert [item for item in found if not item.reason] == before
        assert len(found) == len(before) + len(end)


def test_a_text_file_of_urls(tmp_path: Path, discover: Discover) -> None:
    path = tmp_path / "ten.txt"
    path.write_bytes(
        b"\xef\xbb\xbfhttp://a.example/1\r\n\r\n# a comment\n  http://a.example/2  \nhttp://a.example/3"
    )
    assert [item.uri for item in discover(path)] == [f"http://a.example/{number}" for number in (1, 2, 3)]


def test_a_folder_of_lists(tmp_path: Path, discover: Discover) -> None:
    folder = tmp_path / "lists"
    (folder / "more").mkdir(parents=True)
    write(folder / "a.parquet", ROWS[:2])
    write(folder / "more" / "b.csv", ROWS[2:])
    assert [item.uri for item in discover(folder)] == [row["url"] for row in ROWS]
    assert len(discover(folder / "*.parquet")) == 2
    (folder / "README.md").write_text("what these are")
    with pytest.raises(ConfigError, match="README"):
        discover(folder)
    assert len(discover(folder / "**" / "*.[cp]*")) == 4


def test_templates_may_use_all_columns(tmp_path: Path, discover: Discover) -> None:
    path = write(tmp_path / "l.jsonl", ROWS)
    items = discover(path, category="web/{host}/{label}", columns={"caption": "alt"})
    assert items[0].category == "web/a.example.org/kuşlar/serçe"
    assert items[1].category == "web/b.example.org"
    with pytest.raises(ConfigError, match=r"\{lable\}.*did you mean \{label\}"):
        discover(path, category="{lable}")


def test_wrong_declarations_are_errors(tmp_path: Path, discover: Discover) -> None:
    path = write(tmp_path / "l.csv", [{"URL": "http://a.example/1", "TEXT": "x"}])
    with pytest.raises(ConfigError, match=r"no column 'url'; did you mean 'URL'\? \(it has: URL, TEXT\)"):
        discover(path)
    with pytest.raises(ConfigError, match="no column 'txt'"):
        discover(path, columns={"url": "URL", "caption": "txt"})
    with pytest.raises(ConfigError, match="either a template or a column"):
        discover(path, columns={"url": "URL", "category": "TEXT"}, category="x")
    with pytest.raises(ConfigError, match="nothing at"):
        discover(tmp_path / "gone.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no lists"):
        discover(tmp_path / "empty")


def test_bad_rows_are_rejected_alone(tmp_path: Path, discover: Discover) -> None:
    path = tmp_path / "l.csv"
    path.write_bytes(
        b"url,alt\nhttp://a.example/1,x\nhttp://a.example/2\n,no url\nhttp://a.example/\xff,y\n"
        b"nonsense,z\n\nhttp://a.example/3,w\nhttp://a.example/4,\xe7\n"
    )
    items = discover(path, columns={"caption": "alt"})
    assert [item.uri for item in items if not item.reason] == ["http://a.example/1", "http://a.example/3"]
    bad = {(item.uri, item.locator): item.reason for item in items if item.reason}
    assert bad == {
        ("l.csv", "row 3"): Reason.BAD_ROW,
        ("l.csv", "row 4"): Reason.NO_VALUE,
        ("l.csv", "row 5"): Reason.BAD_ROW,
        ("nonsense", ""): Reason.BAD_URL,
        ("l.csv", "row 9"): Reason.BAD_ROW,
    }
    assert all(item.meta["detail"] for item in items if item.reason)


def test_bad_lines_of_json(tmp_path: Path, discover: Discover) -> None:
    path = tmp_path / "l.jsonl"
    path.write_bytes(
        b'{"url": "http://a.example/1", "score": NaN}\n{"url": null}\n{"url": 5}\nnot json\n[1]\n'
        b'{"url": "http://a.example/\\ud800"}\n{"alt": "none"}\n\xff\n' + b"[" * 100_000 + b"\n"
    )
    items = discover(path)
    reasons = {item.locator: item.reason for item in items if item.reason}
    assert reasons == {f"row {row}": Reason.NO_VALUE for row in (2, 3, 7)} | {
        f"row {row}": Reason.BAD_ROW for row in (4, 5, 6, 8, 9)
    }
    good = [item for item in items if not item.reason]
    assert [item.meta for item in good] == [{"score": None}]


def test_damaged_lists_do_not_affect_other_lists(tmp_path: Path, discover: Discover) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    write(folder / "a.csv", ROWS)
    packed = gzip.compress(b"url\n" + b"http://c.example/1\n" * 50_000)
    (folder / "b.csv.gz").write_bytes(packed[: len(packed) // 2])
    (folder / "c.parquet").write_bytes(b"PAR1 not really")
    (folder / "d.csv").write_text("other,columns\n1,2\n")
    write(folder / "e.jsonl", ROWS)
    items = discover(folder)
    assert {item.uri: item.reason for item in items if item.reason} == {
        "b.csv.gz": Reason.BAD_ROW,
        "c.parquet": Reason.BAD_ROW,
        "d.csv": Reason.BAD_ROW,
    }
    assert sum(item.uri == ROWS[1]["url"] for item in items) == 2


def test_typed_columns(tmp_path: Path, discover: Discover) -> None:
    turns = [{"from": "human", "value": "<image>\nNe bu?"}, {"from": "gpt", "value": "Bir kuş."}]
    rows = [
        {
            "url": "http://a.example/1",
            "text": ["", "first", "second"],
            "labels": ["a", "b"],
            "lang": "tr_TR",
            "rights": "CC-BY-4.0",
            "talk": turns,
            "score": float("nan"),
            "digest": b"\xff\x00",
            "when": datetime(2026, 1, 2),
            "deep": {"x": [float("inf"), 1.0]},
        },
        {"url": "http://a.example/2", "lang": "not a language", "talk": []},
    ]
    path = tmp_path / "l.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    columns = {
        "caption": "text",
        "category": "labels",
        "language": "lang",
        "license": "rights",
        "conversations": "talk",
    }
    first, second = discover(path, columns=columns)
    assert (first.caption, first.category, first.language, first.license) == (
        "first",
        "a/b",
        "tr-TR",
        "CC-BY-4.0",
    )
    assert first.conversations == [
        {"role": "user", "content": "<image>\nNe bu?"},
        {"role": "assistant", "content": "Bir kuş."},
    ]
    assert first.meta == {"score": None, "when": datetime(2026, 1, 2), "deep": {"x": [None, 1.0]}}
    assert second.language is None and second.meta["lang"] == "not a language"
    assert "lang" in second.meta["bad_value"]


def test_conversations_as_json(tmp_path: Path, discover: Discover) -> None:
    talk = json.dumps([{"role": "user", "content": "Merhaba"}])
    path = write(tmp_path / "l.csv", [{"url": "http://a.example/1", "talk": talk}])
    (item,) = discover(path, columns={"conversations": "talk"})
    assert item.conversations == [{"role": "user", "content": "Merhaba"}]


def test_lists_are_streamed(tmp_path: Path, discover: Discover) -> None:
    """Twice the rows need no additional memory."""
    peaks = []
    for rows in (20_000, 40_000):
        path = tmp_path / f"{rows}.csv"
        with path.open("w") as file:
            file.write("url,alt\n")
            file.writelines(f"https://h{row % 500}.example/{row}.jpg,caption {row}\n" for row in range(rows))
        source = UrlsOptions(name="web", adapter="urls", license="CC0-1.0", path=str(path))
        tracemalloc.start()
        count = sum(len(batch) for batch in UrlsAdapter(Context(Workspace(tmp_path))).discover(source))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == rows
    assert peaks[1] < peaks[0] * 1.3


@given(st.binary(max_size=400))
def test_no_bytes_stop_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Rows of a list with any bytes become items that can be stored."""
    folder = tmp_path_factory.mktemp("any")
    for name in ("l.csv", "l.jsonl", "l.txt"):
        path = folder / name
        path.write_bytes((b"url,x\n" if name == "l.csv" else b"") + data)
        source = UrlsOptions(name="web", adapter="urls", license="CC0-1.0", path=str(path))
        try:
            for batch in UrlsAdapter(Context(Workspace(folder / "w"))).discover(source):
                for item in batch:
                    json.dumps([item.uri, item.meta, item.caption], ensure_ascii=False).encode()
        except ConfigError as error:
            assert "no column" in error.message


def test_the_adapter_is_registered() -> None:
    assert adapter_class("urls") is UrlsAdapter


def test_large_hosts_are_split_into_partition_keys(tmp_path: Path, discover: Discover) -> None:
    path = tmp_path / "l.txt"
    path.write_text("".join(f"http://big.example/{n}\n" for n in range(2500)) + "http://small.example/1\n")
    partition_keys = [item.partition_key for item in discover(path)]
    assert partition_keys == (
        ["big.example"] * 1000 + ["big.example#1"] * 1000 + ["big.example#2"] * 500 + ["small.example"]
    )
