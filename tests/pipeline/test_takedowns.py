"""A withdrawal is permanent and covers earlier and later copies in other sources, and linked pages."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from derlem.catalog.maintenance import TABLES
from derlem.project import Project


def image(color: int, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (color, 90, 7)).save(out, form)
    return out.getvalue()


@pytest.fixture
def declared(tmp_path: Path) -> Callable[..., Project]:
    """`declared("a", "b")`: a project of these sources, folders of files."""

    def make(*names: str) -> Project:
        sources: list[dict[str, Any]] = []
        for name in names:
            (tmp_path / name).mkdir(exist_ok=True)
            sources.append(
                {"name": name, "adapter": "files", "path": str(tmp_path / name), "license": "CC0-1.0"}
            )
        return Project({"workspace": str(tmp_path / "work"), "sources": sources, "ingest": {"workers": 1}})

    return make


def statuses(project: Project) -> dict[str, str]:
    found = project.sql("SELECT source || '/' || uri AS name, status FROM items ORDER BY ALL").to_pylist()
    return {row["name"]: row["status"] for row in found}


def take_in(project: Project) -> dict[str, str]:
    project.discover()
    project.ingest()
    return statuses(project)


def test_earlier_and_later_copies_are_withdrawn(declared: Callable[..., Project], tmp_path: Path) -> None:
    project = declared("a", "b")
    for name in ("a/x.png", "b/copy.png"):
        (tmp_path / name).write_bytes(image(1))
    (tmp_path / "a" / "other.png").write_bytes(image(80))
    (tmp_path / "b" / "another.png").write_bytes(image(160))
    take_in(project)
    result = project.withdraw(where="uri = 'x.png'")
    assert dict(result.withdrawn) == {"a": 1, "b": 1}
    project = declared("a", "b", "c")
    (tmp_path / "c" / "again.png").write_bytes(image(1))
    (tmp_path / "c" / "as.bmp").write_bytes(image(1, "BMP"))
    (tmp_path / "b" / "another.png").write_bytes(image(1))
    found = take_in(project)
    assert found == {
        "a/other.png": "ready",
        "a/x.png": "withdrawn",
        "b/another.png": "withdrawn",
        "b/copy.png": "withdrawn",
        "c/again.png": "withdrawn",
        "c/as.bmp": "withdrawn",
    }
    tables = {name: project.sql(f"FROM {name} ORDER BY ALL").to_pylist() for name in TABLES}
    project.catalog.rebuild()
    assert {name: project.sql(f"FROM {name} ORDER BY ALL").to_pylist() for name in TABLES} == tables
    assert not project.audit().failed


def test_a_copy_that_is_edited_stays_withdrawn_and_is_counted(
    declared: Callable[..., Project], tmp_path: Path
) -> None:
    project = declared("a")
    for number in range(3):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / f"{number}.png").write_bytes(image(60 * number))
    take_in(project)
    project.withdraw(where="uri = '1.png'")
    (tmp_path / "a" / "1.png").write_bytes(image(230))
    [listed] = project.discover().sources
    assert (listed.changes.withdrawn, listed.changes.changed) == (1, 0)
    project.ingest()
    assert statuses(project) == {"a/0.png": "ready", "a/1.png": "withdrawn", "a/2.png": "ready"}
