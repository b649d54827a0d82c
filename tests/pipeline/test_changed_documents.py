"""Pages of a changed document are the pages of its present version, and get its category."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from derlem.catalog.maintenance import TABLES
from derlem.pipeline import stages
from derlem.project import Project
from tests.factories.executors import InlineExecutor
from tests.factories.pdf import Page, write_pdf

MARK = b"10 10 30 30 re f"


def make(folder: Path, category: str = "", caption: dict[str, str] | None = None, **sections: Any) -> Project:
    source = {"name": "s", "adapter": "files", "path": str(folder / "data"), "category": category}
    sources = [{**source, "license": "CC0-1.0", "caption": caption}]
    return Project(
        {
            "workspace": str(folder / "work"),
            "sources": sources,
            "ingest": {"workers": 1},
            "pdf": {"dpi": 72},
            **sections,
        }
    )


def take_in(project: Project) -> list[tuple[Any, ...]]:
    """Ingest; return category, status and width of all pages in the catalog that are not gone."""
    project.discover()
    project.ingest()
    rows = project.sql(
        "SELECT category, status, width FROM items"
        " WHERE document_sha256 IS NOT NULL AND reason IS DISTINCT FROM 'gone'"
        " ORDER BY length(locator), locator"
    ).to_pylist()
    return [tuple(row.values()) for row in rows]


def test_pages_follow_changes_of_their_document(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "a.pdf"
    path.write_bytes(write_pdf([Page(72 + 10 * number, 72, content=MARK) for number in range(3)]))
    assert [width for _, _, width in take_in(make(tmp_path))] == [72, 82, 92]
    path.write_bytes(write_pdf([Page(200 + number, 72, content=MARK) for number in range(2)]))
    assert [width for _, _, width in take_in(make(tmp_path))] == [200, 201]
    assert {found for found, _, _ in take_in(make(tmp_path, "news"))} == {"news"}
    path.write_bytes(write_pdf([Page(300, 72, content=MARK) for _ in range(4)]))
    project = make(tmp_path, "news")
    assert take_in(project) == [("news", "ready", 300)] * 4
    assert [width for _, _, width in take_in(make(tmp_path, "news", pdf={"dpi": 36}))] == [150] * 4
    tables = {name: project.sql(f"FROM {name} ORDER BY ALL").to_pylist() for name in TABLES}
    project.catalog.rebuild()
    assert {name: project.sql(f"FROM {name} ORDER BY ALL").to_pylist() for name in TABLES} == tables
    assert not project.audit().failed


def test_pages_keep_the_texts_of_their_document_and_follow_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "open_executor", InlineExecutor)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.pdf").write_bytes(write_pdf([Page(72, 72, content=MARK)]))
    (tmp_path / "data" / "a.json").write_text('{"caption": "one", "title": "two"}')
    for key, category, expected in (
        ("caption", "", "one"),
        ("caption", "news", "one"),
        ("title", "news", "two"),
    ):
        project = make(tmp_path, category, {"sidecar": ".json", "key": key})
        assert take_in(project) == [(category, "ready", 72)]
        assert [item.caption for item in project.items(status="ready")] == [expected]
    assert take_in(make(tmp_path, "news", {"sidecar": ".json", "key": "none"})) == [("news", "ready", 72)]
    assert [item.caption for item in project.items(status="ready")] == [None]
