"""Malformed lists (exports, spreadsheets, truncated files): every row is an item or has a reason."""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem.adapters.base import Context
from derlem.adapters.urls.adapter import UrlsAdapter, UrlsOptions
from derlem.adapters.urls.delimited import UNCLOSED, Delimited
from derlem.catalog.models import Item
from derlem.catalog.status import Reason
from derlem.core.errors import ConfigError
from derlem.core.workspace import Workspace

Discover = Callable[..., list[Item]]


@pytest.fixture
def discover(tmp_path: Path) -> Discover:
    """`discover(path, ...)`: the items of a list with a column `caption`."""

    def run(path: Path, **options: Any) -> list[Item]:
        given: dict[str, Any] = {"name": "web", "adapter": "urls", "license": "CC0-1.0", "path": str(path)}
        options.setdefault("columns", {"caption": "caption"})
        source = UrlsOptions.model_validate({**given, **options})
        adapter = UrlsAdapter(Context(Workspace(tmp_path / "work")))
        return [item for batch in adapter.discover(source) for item in batch]

    return run


def url(number: int) -> str:
    return f"http://a.example/{number}.jpg"


def captions(items: list[Item]) -> dict[str, str | None]:
    return {item.uri: item.caption for item in items if item.reason is None}


def bad_rows(items: list[Item]) -> dict[str, str]:
    return {item.locator: item.meta["detail"] for item in items if item.reason is Reason.BAD_ROW}


def test_quotes_in_a_tsv_are_text(tmp_path: Path, discover: Discover) -> None:
    texts = ['"Best of" he said', '"Only opens', "next", 'closes"', 'a 20" wheel', '"whole"', "after"]
    path = tmp_path / "l.tsv"
    path.write_text("url\tcaption\n" + "".join(f"{url(n)}\t{text}\n" for n, text in enumerate(texts)))
    assert captions(discover(path)) == {url(number): text for number, text in enumerate(texts)}


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_a_tsv_with_quotes_of_a_csv_writer(tmp_path: Path, discover: Discover, quoting: int) -> None:
    texts = ['"Best of" he said', "a\ttab", "two\nlines", "plain", '20"']
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([("url", "caption"), *((url(number), text) for number, text in enumerate(texts))])
    path = tmp_path / "l.tsv"
    path.write_text(out.getvalue())
    assert captions(discover(path)) == {url(number): text for number, text in enumerate(texts)}


@pytest.mark.parametrize("closing", ["", '"', '"later"'])
def test_an_unclosed_quote_rejects_only_its_row(tmp_path: Path, discover: Discover, closing: str) -> None:
    lines = [f"{url(number)},caption {number}" for number in range(9)]
    lines[3] = f'{url(3)},"caption 3'
    if closing:
        lines[6] = f"{url(6)},caption 6{closing}" if closing == '"' else f"{url(6)},{closing}"
    path = tmp_path / "l.csv"
    path.write_text("\n".join(["url,caption", *lines]) + "\n")
    items = discover(path)
    expected = {url(number): f"caption {number}" for number in range(9) if number != 3}
    if closing:
        expected[url(6)] = 'caption 6"' if closing == '"' else "later"
    assert captions(items) == expected
    assert bad_rows(items) == {"row 5": UNCLOSED}


def test_quoted_lines_that_look_like_text_stay_in_their_field(tmp_path: Path, discover: Discover) -> None:
    path = tmp_path / "l.csv"
    path.write_text(f'url,caption\n{url(1)},"one, two\nsee http://b.example, three"\n{url(2)},x\n')
    assert captions(discover(path)) == {url(1): "one, two\nsee http://b.example, three", url(2): "x"}


@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0")), st.text('ab",;\n\r\t')),
        max_size=8,
    )
)
def test_records_of_a_csv_writer_are_read(rows: list[tuple[str, str]]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([("a", "b"), *rows])
    lines = io.StringIO(out.getvalue(), newline="")
    table = Delimited(iter(lines), delimiter=",", url="", raw=False)
    read = [tuple(fields) for _, fields in table.rows()]
    assert read == rows


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_guessed_from_the_header(tmp_path: Path, discover: Discover, delimiter: str) -> None:
    path = tmp_path / "l.csv"
    path.write_text(f"url{delimiter}caption\n{url(1)}{delimiter}bir, iki\n".replace("bir, iki", "bir"))
    assert captions(discover(path)) == {url(1): "bir"}
    assert captions(discover(path, delimiter=delimiter)) == {url(1): "bir"}


def test_columns_with_the_same_name(tmp_path: Path, discover: Discover) -> None:
    path = tmp_path / "l.csv"
    path.write_text(f"url,caption,url,x,x\n{url(1)},a,{url(2)},1,2\n")
    with pytest.raises(ConfigError, match="several columns 'url'"):
        discover(path)
    path.write_text(f"url,caption,x,x\n{url(1)},a,1,2\n")
    assert captions(discover(path)) == {url(1): "a"}


def test_text_in_columns_of_bytes(tmp_path: Path, discover: Discover) -> None:
    for kind in (pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.binary())):
        texts = pa.array([b"a", "ç".encode(), b"\xe7"], pa.binary()).cast(kind)
        urls = pa.array([url(number).encode() for number in range(3)], pa.binary()).cast(kind)
        path = tmp_path / "l.parquet"
        digests = pa.array([b"\xff", b"\xfe", None], pa.binary())
        pq.write_table(pa.table({"url": urls, "caption": texts, "digest": digests}), path)
        items = discover(path)
        assert captions(items) == {url(0): "a", url(1): "ç"}
        assert list(bad_rows(items)) == ["row 3"]
        assert not any("digest" in item.meta for item in items)


def test_strings_that_are_not_utf_8(tmp_path: Path, discover: Discover) -> None:
    def strings(*values: bytes) -> pa.Array:
        data = pa.array(values, pa.binary())
        return pa.Array.from_buffers(pa.string(), len(data), data.buffers())

    table = {
        "url": [url(number) for number in range(4)],
        "caption": strings(b"a", b"R\xc9sum\xe9", b"c", b"d"),
        "tags": pa.ListArray.from_arrays([0, 1, 2, 3, 4], strings(b"t", b"t", b"\xff", b"t")),
    }
    pq.write_table(pa.table(table), tmp_path / "l.parquet")
    items = discover(tmp_path / "l.parquet")
    assert captions(items) == {url(0): "a", url(3): "d"}
    assert set(bad_rows(items)) == {"row 2", "row 3"}


@pytest.mark.parametrize("nested", [False, True])
def test_times_beyond_python(tmp_path: Path, discover: Discover, nested: bool) -> None:
    kinds = {
        "far": pa.array([1_700_000_000_000_000, 1_700_000_000, None], pa.timestamp("ms", tz="UTC")),
        "nanoseconds": pa.array([1_700_000_000_123_456_789, 0, None], pa.timestamp("ns", tz="UTC")),
        "clock": pa.array([1_001, 2_000, None], pa.time64("ns")),
        "span": pa.array([1_001, 2_000, None], pa.duration("ns")),
        "day": pa.array([2**31 - 1, 1, None], pa.date32()),
    }
    if nested:
        kinds = {"all": pa.StructArray.from_arrays(list(kinds.values()), list(kinds))}
    table = pa.table({"url": [url(number) for number in range(3)], "caption": ["a", "b", "c"], **kinds})
    pq.write_table(table, tmp_path / "l.parquet")
    items = discover(tmp_path / "l.parquet")
    assert captions(items) == {url(0): "a", url(1): "b", url(2): "c"}
    meta = items[1].meta["all"] if nested else items[1].meta
    assert meta["nanoseconds"].year == 1970 and meta["span"].microseconds == 2
    if not nested:
        assert items[0].meta["far"] is None and items[0].meta["nanoseconds"].microsecond == 123_456


def test_numbers_beyond_json(tmp_path: Path, discover: Discover) -> None:
    rows = [
        '"caption": "a", "x": 1e999',
        '"caption": 5',
        '"caption": {"en": "x"}',
        f'"caption": "b", "x": {"9" * 400}',
    ]
    path = tmp_path / "l.jsonl"
    path.write_text("".join(f'{{"url": "{url(n)}", {row}}}\n' for n, row in enumerate(rows)) + "{}{}\n")
    items = discover(path)
    assert captions(items) == {url(0): "a", url(1): "5", url(2): None, url(3): "b"}
    assert list(bad_rows(items)) == ["row 5"]
    by_uri = {item.uri: item.meta for item in items}
    assert by_uri[url(0)] == {"x": None} and by_uri[url(3)] == {"x": None}
    assert "bad_value" in by_uri[url(2)]
    json.dumps([item.meta for item in items], allow_nan=False)


def test_a_damaged_list_gives_its_rows_before_the_damage(tmp_path: Path, discover: Discover) -> None:
    lines = "".join(f"{url(number)},{number * 7919 % 10007}\n" for number in range(3000))
    packed = gzip.compress(("url,caption\n" + lines).encode())
    (tmp_path / "l.csv.gz").write_bytes(packed[: len(packed) // 2])
    items = discover(tmp_path / "l.csv.gz")
    assert items[-1].reason is Reason.BAD_ROW and len(items) > 500
    table = pa.table({"url": [url(number) for number in range(3000)], "caption": ["x" * 50] * 3000})
    pq.write_table(
        table, tmp_path / "l.parquet", row_group_size=1000, compression="none", use_dictionary=False
    )
    data = bytearray((tmp_path / "l.parquet").read_bytes())
    at = pq.read_metadata(tmp_path / "l.parquet").row_group(2).column(0).data_page_offset
    data[at : at + 64] = b"\xff" * 64
    (tmp_path / "l.parquet").write_bytes(data)
    items = discover(tmp_path / "l.parquet")
    assert len(captions(items)) == 2000 and len(items) == 2001


def test_no_caption_at_all_is_one_warning(
    tmp_path: Path, discover: Discover, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "l.csv"
    path.write_text(f"url,caption,text\n{url(1)},,a\n{url(2)},,b\n")
    with caplog.at_level(logging.WARNING):
        discover(path)
        assert [record.getMessage() for record in caplog.records] == [
            "web: 0 of 2 items have a caption in the column 'caption'"
        ]
        caplog.clear()
        discover(path, columns={"caption": "text"})
        discover(path, columns={})
    assert not caplog.records
