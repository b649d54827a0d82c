"""A starting run handles incomplete segments, lost files and foreign files in the store."""

from __future__ import annotations

import logging
from datetime import datetime

import pytest

from derlem.catalog.connection import read_catalog, write_catalog
from derlem.catalog.item_rows import to_table
from derlem.catalog.models import Item
from derlem.catalog.segments import row_schema
from derlem.core.workspace import Workspace
from derlem.pipeline.ingest_options import IngestOptions
from derlem.pipeline.outcomes import announce
from derlem.pipeline.segment_store import SegmentStore


def opened(workspace: Workspace) -> SegmentStore:
    """The store of a new run."""
    store = SegmentStore(workspace, IngestOptions())
    with write_catalog(workspace) as connection:
        store.recover(connection)
    return store


def add(store: SegmentStore, uri: str) -> None:
    """A segment with one item, and the tar of its images."""
    item = Item(source="s", uri=uri)
    announce(item, ordinal=0, license="CC0-1.0", run="r", at=datetime(2026, 1, 2))
    store.write_rows("s", "discover", "r", to_table([item], row_schema()))
    store.commit()
    number = max(path.stem for path in (store.workspace.store / "s").glob("*.parquet"))
    (store.workspace.store / "s" / f"{number}.tar").write_bytes(b"images")


def files(workspace: Workspace) -> list[str]:
    return sorted(path.name for path in (workspace.store / "s").iterdir())


@pytest.fixture
def three(workspace: Workspace) -> Workspace:
    store = opened(workspace)
    for uri in ("a", "b", "c"):
        add(store, uri)
    return workspace


def test_the_half_segment_of_a_killed_run_is_removed(three: Workspace) -> None:
    before = files(three)
    (three.store / "s" / "000004.tar").write_bytes(b"its rows were about to be renamed")
    opened(three)
    assert files(three) == before


@pytest.mark.parametrize(("number", "forgotten"), [("000001", False), ("000003", False), ("000001", True)])
def test_images_are_kept_when_their_rows_are_lost(
    three: Workspace,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    number: str,
    forgotten: bool,
) -> None:
    (three.store / "s" / f"{number}.parquet").unlink()
    if forgotten:  # the catalog was created again meanwhile
        with write_catalog(three) as connection:
            connection.execute("DELETE FROM segments WHERE segment = 's/000001'")
    before = files(three)
    monkeypatch.setattr(logging.getLogger("derlem"), "propagate", True)
    opened(three)
    assert files(three) == before
    assert f"{number}.tar: its rows are missing" in caplog.text


def test_no_number_is_given_twice(three: Workspace) -> None:
    """A merge skips segments whose names are in the catalog, so that a reused number would lose items."""
    for name in ("000003.parquet", "000003.tar"):
        (three.store / "s" / name).unlink()
    add(opened(three), "d")
    assert "000004.parquet" in files(three)
    with read_catalog(three) as connection:
        found = connection.execute("SELECT uri, segment FROM items ORDER BY uri").fetchall()
    assert [uri for uri, _ in found] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("name", ["2024-backup.tar", "7z.tar", "000009.tar.gz", "12a.parquet", "٣.tar"])
def test_foreign_files_are_not_changed(three: Workspace, name: str) -> None:
    path = three.store / "s" / name
    path.write_bytes(b"mine")
    add(opened(three), "d")
    assert path.read_bytes() == b"mine"
    assert "000004.parquet" in files(three)
