"""Edits of URL lists change texts and keep images; a repeated URL with another text is a separate record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from derlem.catalog.maintenance import TABLES

COUNT = 6
PACE = {"per_host": {"concurrency": 8, "requests_per_second": 100_000, "burst": 1000}}


@pytest.fixture
def mine(project: Callable[..., Any], tmp_path: Path) -> Any:
    """A project of one list with captions."""
    source = {
        "name": "web",
        "adapter": "urls",
        "path": str(tmp_path / "list.jsonl"),
        "columns": {"caption": "text"},
        "license": "CC0-1.0",
    }
    return project([source], fetch={"allow_private": ["127.0.0.0/8"], **PACE}, ingest={"workers": 1})


def write(path: Path, rows: list[tuple[str, str]]) -> None:
    path.write_text("".join(json.dumps({"url": url, "text": text}) + "\n" for url, text in rows))


def texts(mine: Any) -> list[tuple[str, str, str]]:
    rows = mine.rows(
        "SELECT uri, caption, status FROM items WHERE reason IS DISTINCT FROM 'gone' ORDER BY ALL"
    )
    return [(row["uri"], row["caption"], row["status"]) for row in rows]


def test_an_edited_caption_is_stored_without_a_request(mine: Any, server: Any, tmp_path: Path) -> None:
    urls = [f"http://127.0.0.1:{server.port}/ok/{number}" for number in range(COUNT)]
    write(tmp_path / "list.jsonl", [(url, f"text {number}") for number, url in enumerate(urls)])
    mine.derlem("run")
    asked, images = len(server.requests), mine.rows("SELECT uri, sha256 FROM items ORDER BY ALL")
    edited = [(url, f"text {number}") for number, url in enumerate(urls)]
    edited[2] = urls[2], "edited"
    write(tmp_path / "list.jsonl", list(reversed(edited)))
    assert "1 with other texts or category" in mine.derlem("--dry-run", "run").stderr
    assert "web: 1 with other texts or category" in mine.derlem("run").stderr
    assert texts(mine) == sorted((url, text, "ready") for url, text in edited)
    assert len(server.requests) == asked
    assert mine.rows("SELECT uri, sha256 FROM items ORDER BY ALL") == images
    write(tmp_path / "list.jsonl", edited[:-1])
    assert "web: 1 gone" in mine.derlem("run").stderr
    assert texts(mine) == sorted((url, text, "ready") for url, text in edited[:-1])
    tables = {name: mine.rows(f"FROM {name} ORDER BY ALL") for name in TABLES}
    mine.derlem("catalog", "rebuild")
    assert {name: mine.rows(f"FROM {name} ORDER BY ALL") for name in TABLES} == tables


def test_a_url_with_several_texts_is_a_record_for_each(mine: Any, tmp_path: Path) -> None:
    urls = [f"http://127.0.0.1:9/{number}" for number in range(20)]
    rows = [(url, f"{url} {kind}") for kind in ("first", "second") for url in urls]
    write(tmp_path / "list.jsonl", [*rows, *rows[:3]])
    assert "web: 3 listed twice (dropped)" in mine.derlem("discover").stderr
    assert texts(mine) == sorted((url, text, "discovered") for url, text in rows)
    write(tmp_path / "list.jsonl", rows)
    assert mine.derlem("discover").stderr.count("web:") == 1  # the progress line only
    assert texts(mine) == sorted((url, text, "discovered") for url, text in rows)
    shuffled = rows[20:] + rows[:20]
    write(tmp_path / "list.jsonl", shuffled)
    mine.derlem("discover")
    assert texts(mine) == sorted((url, text, "discovered") for url, text in rows)
