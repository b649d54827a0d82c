"""A refresh stores only the images that changed at their source, and loses none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from derlem.catalog.maintenance import TABLES

COUNT = 200
CHANGED = {"/ok/17": 1001, "/ok/101": 1002}
"""Changed images by path: one in a hundred."""
LIMITS = {"per_host": {"concurrency": 8, "requests_per_second": 100_000, "burst": 1000}}


@pytest.fixture
def mine(project: Callable[..., Any], server: Any, demo: Path, tmp_path: Path) -> Any:
    """Images of two hosts, and some of a folder."""
    urls = [f"http://127.0.0.{1 + n % 2}:{server.port}/ok/{n}" for n in range(COUNT)]
    (tmp_path / "urls.txt").write_text("".join(f"{url}\n" for url in urls))
    common = {"license": "CC0-1.0"}
    return project(
        [
            {"name": "web", "adapter": "urls", "path": str(tmp_path / "urls.txt"), **common},
            {"name": "art", "adapter": "files", "path": str(demo / "clipart"), **common},
        ],
        fetch={"allow_private": ["127.0.0.0/8"], **LIMITS},
        ingest={"workers": 2},
        sample={"name": "s", "seed": 1, "target": 10_000, "allow_shortfall": True},
        corpus={"shard_size": "100KB"},
    )


def items(mine: Any) -> dict[str, dict[str, Any]]:
    """The fetched items by the path of their URL."""
    rows = mine.rows("FROM items WHERE source = 'web'")
    return {"/ok/" + row["uri"].rpartition("/")[2]: row for row in rows}


def test_only_changed_images_are_transferred_and_replaced(mine: Any, server: Any, misbehaving: Any) -> None:
    mine.derlem("run")
    before, sent = items(mine), server.body_bytes()
    assert {item["status"] for item in before.values()} == {"ready"}

    mine.derlem("run")
    messages = mine.derlem("run", "--refresh").stderr
    assert server.body_bytes() == sent
    assert f"refresh: 0 new, {COUNT} unchanged\n" in messages
    assert items(mine) == before

    server.versions |= CHANGED
    mine.derlem("run")
    assert server.body_bytes() == sent  # no request was made
    messages = mine.derlem("run", "--refresh").stderr
    assert f"refresh: {len(CHANGED)} new, {COUNT - len(CHANGED)} unchanged\n" in messages
    fresh = {path: misbehaving.jpeg(number) for path, number in CHANGED.items()}
    assert server.body_bytes() - sent == sum(map(len, fresh.values()))
    after = items(mine)
    assert {path for path in after if after[path] != before[path]} == CHANGED.keys()
    for path, data in fresh.items():
        assert after[path]["status"] == "ready"
        assert after[path]["original_sha256"] == hashlib.sha256(data).hexdigest()
        assert hashlib.sha256(mine.payload(after[path])).hexdigest() == after[path]["sha256"]

    tables = {name: mine.rows(f"FROM {name} ORDER BY ALL") for name in TABLES}
    mine.derlem("catalog", "rebuild")
    assert {name: mine.rows(f"FROM {name} ORDER BY ALL") for name in TABLES} == tables
    mine.derlem("audit")


def test_an_item_keeps_its_image_for_any_other_response(mine: Any, server: Any) -> None:
    mine.derlem("discover")
    mine.derlem("ingest", "web")
    before = items(mine)
    host = "127.0.0.1"
    server.files[host, "/ok/0"] = (404, {}, b"")
    server.files[host, "/ok/2"] = (200, {"Content-Type": "text/html"}, b"<html>moved</html>")
    server.files[host, "/ok/4"] = (200, {}, mine.payload(before["/ok/6"])[:-300])
    server.files[host, "/ok/8"] = (503, {}, b"")
    messages = mine.derlem("--set", "fetch.backoff=0.01", "refresh", "web").stderr
    assert items(mine) == before
    assert "0 new, 196 unchanged; kept, " in messages
    assert sum(int(part.split()[0]) for part in messages.partition("kept, ")[2].split(", ")) == 4


def test_new_opt_outs_of_publishers_are_recorded(mine: Any, server: Any) -> None:
    server.versions["/ok/17"] = 1000  # an image that no other item has
    mine.derlem("run")
    before = items(mine)["/ok/17"]
    answer = {"X-Robots-Tag": "noai", "Content-Type": "image/jpeg"}
    server.files["127.0.0.2", "/ok/17"] = (200, answer, mine.payload(before))
    assert "1 x_robots_tag" in mine.derlem("refresh").stderr
    item = items(mine)["/ok/17"]
    assert json.loads(item["meta"])["opt_outs"] == ["x_robots_tag"]
    assert (item["status"], item["segment"]) == ("ready", before["segment"])
    failed = mine.derlem("audit", "--format", "json", code=3).stdout
    assert [row["audit"] for row in json.loads(failed) if row["rows"]] == ["opted_out_in_corpus"]
    mine.derlem("run")  # drawn without it
    del server.files["127.0.0.2", "/ok/17"]
    mine.derlem("run", "--refresh")
    assert json.loads(items(mine)["/ok/17"]["meta"])["opt_outs"] == []
    assert mine.rows(f"FROM manifest WHERE item_id = '{before['item_id']}'")


def test_a_takedown_covers_both_images(mine: Any, server: Any) -> None:
    server.versions["/ok/17"] = 1000  # an image that no other item has
    mine.derlem("run")
    before = items(mine)["/ok/17"]
    old = mine.payload(before)
    server.versions |= CHANGED
    mine.derlem("refresh")
    new = mine.payload(items(mine)["/ok/17"])
    assert old != new
    mine.derlem("withdraw", "--key", before["item_id"], "--purge")
    files = [path.read_bytes() for path in mine.work.rglob("*") if path.is_file()]
    assert not [data for data in files if old in data or new in data]
    mine.derlem("audit")


def test_a_dry_run_reports_the_requests(mine: Any, server: Any) -> None:
    mine.derlem("run")
    asked = len(server.requests)
    assert f"web: {COUNT} items would be fetched again" in mine.derlem("--dry-run", "refresh").stderr
    assert "it cannot be refreshed" in mine.derlem("refresh", "art", code=2).stderr
    assert len(server.requests) == asked


def test_an_earlier_corpus_beside_refreshed_images_is_a_warning(mine: Any, server: Any) -> None:
    server.versions["/ok/17"] = 1000  # an image that no other item has
    mine.derlem("run")
    server.versions |= CHANGED
    mine.derlem("refresh")
    messages = mine.derlem("audit").stdout
    assert "corpus_behind_catalog (warn)" in messages
    mine.derlem("sample")
    assert "corpus_not_rebuilt (warn)" in mine.derlem("audit").stdout
    messages = mine.derlem("--set", "sample.name=other", "run").stderr
    assert "corpus_behind_catalog (warn)" in messages and "corpus_not_rebuilt (warn)" in messages
    mine.derlem("build")
    assert "(warn)" not in mine.derlem("audit").stdout
