"""The views that count losses: funnel, quota gaps, duplicates, hosts, runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import duckdb
import pytest

from derlem.sampling import dedup_index
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


@pytest.fixture
def catalog() -> duckdb.DuckDBPyConnection:
    """Two sources: a with 10 ready items, of which 3 have the same bytes; b with every other status."""
    connection = memory_catalog()
    insert(connection, "sources", [source_row(name, place) for place, name in enumerate("ab")])
    rows = [
        item_row(
            source="a", uri=f"{n}", category="x" if n < 6 else "y/z", sha256=f"{max(n, 2):064x}", bytes=9
        )
        for n in range(10)
    ]
    hosts = "http://user@One.example:8080/i.jpg", "https://one.example/j.jpg", "https://two.example/k.jpg"
    outcomes: list[tuple[str, str | None]] = [
        ("ready", None), ("rejected", "robots"), ("rejected", "corrupt"), ("failed", "timeout"),
        ("withdrawn", "takedown"), ("discovered", None), ("expanded", None),
    ]  # fmt: skip
    rows += [
        item_row(
            source="b", uri=f"{hosts[n % 3]}?{n}", category="w", status=status, reason=reason, sha256=None
        )
        for n, (status, reason) in enumerate(outcomes)
    ]
    rows[10] |= {"sha256": f"{2:064x}", "bytes": 5}
    insert_items(connection, rows)
    insert_segment(connection, items=len(rows), tar_bytes=4000)
    return connection


def rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    result = connection.execute(sql)
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def test_the_funnel_adds_up(catalog: duckdb.DuckDBPyConnection) -> None:
    before = rows(catalog, "FROM funnel")
    assert [(row["corpus"], row["source"], row["selected"]) for row in before] == [
        (None, "a", 0),
        (None, "b", 0),
    ]
    draw_sample(catalog, SampleOptions(name="c", target=5), "r")
    insert(
        catalog,
        "shards",
        [
            {
                "corpus": "c",
                "shard": 0,
                "path": "p",
                "first": 0,
                "last": 4,
                "samples": 4,
                "bytes": 1,
                "sha256": "",
                "built_at": WHEN,
                "manifest_fingerprint": "",
            }
        ],
    )
    a, b = rows(catalog, "FROM funnel")
    for row in (a, b):
        assert row["discovered"] == sum(
            row[name] for name in ("pending", "expanded", "rejected", "failed", "withdrawn", "ready")
        )
        assert row["ready"] == row["selected"] + row["not_selected"]
    assert (a["ready"], a["candidates"], b["ready"], b["candidates"]) == (10, 8, 1, 0)
    assert a["selected"] + b["selected"] == 5 and a["in_corpus"] + b["in_corpus"] == 4
    assert b["reasons"] == {"corrupt": 1, "robots": 1, "takedown": 1, "timeout": 1} and a["reasons"] == {}


def test_gaps_are_differences_from_target_and_declared_shares(catalog: duckdb.DuckDBPyConnection) -> None:
    quotas = {"x": {"share": "1/2"}, "y": {"share": "50 %"}}
    options = {"name": "c", "target": 8, "quotas": quotas}
    draw_sample(catalog, SampleOptions.model_validate(options), "r")
    assert rows(catalog, "FROM quota_gaps") == []
    draw_sample(
        catalog, SampleOptions.model_validate({**options, "target": 20, "allow_shortfall": True}), "r"
    )
    gaps = {(row["node"], row["source"]): row for row in rows(catalog, "FROM quota_gaps")}
    root = gaps["", ""]
    assert (root["wanted"], root["selected"], root["gap"]) == (20, 8, -12) and "shortfall" in root["why"]
    catalog.execute(
        "DELETE FROM manifest_rows WHERE item_id IN (SELECT item_id FROM manifest WHERE source = 'a')"
    )
    left = {(row["node"], row["source"]): row for row in rows(catalog, "FROM quota_gaps")}
    assert left["y/z", "a"]["gap"] == -4 and left["y/z", "a"]["why"].endswith("4 samples left the manifest")


@pytest.mark.parametrize("indexed", [False, True])
def test_duplicates_with_and_without_the_index(catalog: duckdb.DuckDBPyConnection, indexed: bool) -> None:
    if indexed:
        dedup_index.refresh(catalog)
    found = rows(catalog, "FROM duplicates")
    assert len(found) == 4 and {row["copies"] for row in found} == {4}
    [kept] = [row for row in found if row["kept"]]
    assert kept["source"] == "a"
    assert kept["item_id"] == min(row["item_id"] for row in found if row["source"] == "a")


def test_duplicates_notice_an_outdated_index(catalog: duckdb.DuckDBPyConnection) -> None:
    dedup_index.refresh(catalog)
    insert_items(catalog, [item_row(source="a", uri="new", sha256=f"{9:064x}")])
    insert_segment(catalog, number=2)
    assert len(rows(catalog, "FROM duplicates")) == 6


def test_hosts_are_names_without_user_and_port(catalog: duckdb.DuckDBPyConnection) -> None:
    found = {row["host"]: row for row in rows(catalog, "FROM hosts")}
    assert set(found) == {"one.example", "two.example"}
    one = found["one.example"]
    assert (one["items"], one["ready"], one["opted_out"], one["bytes"]) == (5, 1, 1, 5)
    assert sum(row["items"] for row in found.values()) == 7


def test_runs_have_their_items_and_rate(catalog: duckdb.DuckDBPyConnection) -> None:
    insert_segment(catalog, number=3, kind="discover", items=30)
    run = {
        "version": "1",
        "config_hash": "",
        "host": "h",
        "command": "derlem run",
        "started_at": WHEN,
        "stage": "ingest",
    }
    insert(
        catalog,
        "runs",
        [
            run | {"run": "r", "state": "done", "finished_at": WHEN + timedelta(seconds=4)},
            run | {"run": "s", "state": "failed", "finished_at": WHEN},
        ],
    )
    done, failed = rows(catalog, "FROM run_history")
    assert (done["listed"], done["outcomes"], done["stored_bytes"]) == (30, 17, 4000)
    assert (done["seconds"], done["outcomes_per_second"]) == (4.0, 4.3)
    assert (failed["outcomes"], failed["outcomes_per_second"]) == (0, None)
