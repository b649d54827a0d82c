"""The public summary of training content: its numbers equal SQL over the manifest, less withdrawn items."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from derlem.report.training_summary import TrainingSummary, summarize
from derlem.sampling.draw import draw_sample
from derlem.sampling.sample_options import SampleOptions
from tests.factories.catalog import (
    WHEN,
    insert,
    insert_items,
    insert_segment,
    item_row,
    memory_catalog,
    source_row,
)

SOURCES: dict[str, dict[str, Any]] = {
    "hub": {"adapter": "huggingface", "config": json.dumps({"dataset": "org/name", "revision": "1f0c"})},
    "local": {"adapter": "huggingface", "config": json.dumps({"dataset": "./folder/name"})},
    "web": {"adapter": "urls"},
    "press": {"adapter": "scrape", "config": json.dumps({"start": "https://press.example/"})},
    "own": {"adapter": "files", "license": "CC-BY-4.0 | [x](javascript:alert(1)) <b>"},
}


@pytest.fixture
def catalog() -> duckdb.DuckDBPyConnection:
    """Five sources of all kinds; 30 hosts, of which one is the largest; a reservation."""
    connection = memory_catalog()
    insert(
        connection, "sources", [{**source_row(name, n), **SOURCES[name]} for n, name in enumerate(SOURCES)]
    )
    rows = []
    for number in range(60):
        name = list(SOURCES)[number % 5]
        host = f"h{number % 30}.example"
        fetched = {"fetch": {"at": (WHEN - timedelta(days=number)).isoformat()}} if name == "web" else {}
        opted = {"opt_outs": ["tdm_reserved: 1"]} if number == 2 else {}
        rows.append(
            item_row(
                source=name,
                uri=f"https://{host}/{number}.jpg" if name in ("web", "press") else f"{number}.jpg",
                category="c",
                sha256=f"{number:064x}",
                caption="ş" * number,
                language="tr" if number % 2 else None,
                license="CC0-1.0" if number % 3 else "CC-BY-4.0",
                length=1000 if number % 30 == 2 else 10,
                bytes=10,
                offset=0,
                meta=json.dumps(fetched | opted, separators=(",", ":")),
            )
        )
    insert_items(connection, rows)
    insert_segment(connection)
    draw_sample(
        connection, SampleOptions(name="c", target=50, allow_shortfall=True, respect_opt_outs=False), "r"
    )
    return connection


def one(connection: duckdb.DuckDBPyConnection, what: str, where: str = "true") -> Any:
    [(value,)] = connection.execute(
        f"SELECT {what} FROM manifest_items AS m JOIN items AS i ON i.item_id = m.item_id "
        f"WHERE m.corpus = 'c' AND i.status = 'ready' AND {where}"
    ).fetchall()
    return value


def agrees(connection: duckdb.DuckDBPyConnection, summary: TrainingSummary) -> None:
    values, general = summary.values, summary.values["general"]
    assert general["samples"] == one(connection, "count(*)")
    assert general["images"] == one(connection, "count(DISTINCT i.item_id)")
    assert general["image_bytes"] == one(connection, 'sum(i."length")')
    assert general["text_characters"] == one(connection, "sum(length(i.caption))")
    for row in values["sources"]:
        where = f"i.source = '{row['source']}'"
        assert row["samples"] == one(connection, "count(*)", where)
        assert row["bytes"] == one(connection, 'sum(i."length")', where)
    for row in values["licenses"]:
        assert row["samples"] == one(connection, "count(*)", f"i.license = '{row['license']}'")
    assert values["domains"]["known"] == one(
        connection, "count(DISTINCT split_part(i.uri, '/', 3))", "i.uri LIKE 'http%'"
    )
    for row in values["domains"]["top"]:
        assert row["bytes"] == one(connection, 'sum(i."length")', f"i.uri LIKE 'https://{row['domain']}/%'")
    assert sum(row["samples"] for row in values["licenses"]) == general["samples"]
    assert sum(row["samples"] for row in values["sources"]) == general["samples"]


def test_the_numbers_equal_sql_over_the_manifest(catalog: duckdb.DuckDBPyConnection) -> None:
    before = summarize(catalog, "c")
    agrees(catalog, before)
    [(gone,)] = catalog.execute("SELECT min(item_id) FROM manifest_items").fetchall()
    catalog.execute("UPDATE items SET status = 'withdrawn', reason = 'takedown' WHERE item_id = ?", [gone])
    after = summarize(catalog, "c")
    agrees(catalog, after)
    assert after.values["general"]["samples"] == before.values["general"]["samples"] - 1
    assert (before.values["withdrawn"], after.values["withdrawn"]) == (0, 1)


def test_sources_stand_under_their_kind(catalog: duckdb.DuckDBPyConnection) -> None:
    values = summarize(catalog, "c").values
    assert {row["source"]: row["kind"] for row in values["sources"]} == {
        "hub": "public", "local": "other", "web": "crawled", "press": "crawled", "own": "other",
    }  # fmt: skip
    found = {row["source"]: row for row in values["sources"]}
    assert found["hub"]["dataset"] == "https://huggingface.co/datasets/org/name"
    assert found["hub"]["revision"] == "1f0c" and found["press"]["start"] == "https://press.example/"
    assert found["web"]["collected_from"] < found["web"]["collected_to"]
    assert found["own"]["collected_from"] == WHEN.isoformat(timespec="seconds")
    assert values["general"]["image_range"] == "less than 1 million images"


def test_the_largest_tenth_of_the_domains_is_listed(catalog: duckdb.DuckDBPyConnection) -> None:
    domains = summarize(catalog, "c").values["domains"]
    assert domains["listed"] == len(domains["top"]) == -(-domains["known"] // 10)
    assert domains["top"][0]["domain"] == "h2.example"


def test_opt_outs_are_measured_and_counted(catalog: duckdb.DuckDBPyConnection) -> None:
    opt_outs = summarize(catalog, "c").values["opt_outs"]
    assert opt_outs["respected"] is False
    [row] = opt_outs["found"]
    inside = one(catalog, "count(*)", "i.source = 'web' AND i.meta LIKE '%opt_outs%'")
    assert (row["source"], row["items"], row["in_corpus"]) == ("web", 1, inside)


def test_markdown_and_json_say_the_same_and_escape_texts(catalog: duckdb.DuckDBPyConnection) -> None:
    summary = summarize(catalog, "c")
    assert json.loads(summary.json()) == summary.values
    text = summary.markdown()
    assert f"| samples | {summary.values['general']['samples']} |" in text
    assert (
        "&lt;b&gt;" in text
        and "\\[x\\](javascript" in text
        and "[x](" not in text.replace("\\[x\\](", "")
        and "&#124;" in text
    )
    for title in ("2.1 Publicly", "2.3 Data crawled", "2.6 Other", "3.1 Respect", "For the provider"):
        assert title in text
