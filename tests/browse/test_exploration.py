"""`project.explore`: pages, places of images, and a shared connection that lets a run commit."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import derlem
from derlem.browse.thumbnails import Thumbnails
from derlem.catalog.connection import write_catalog
from derlem.catalog.shared_reader import QueryTimeout, SharedReader
from derlem.core.errors import UnknownManifest
from derlem.core.workspace import Workspace
from derlem.exploration import ItemFilter, Unavailable, UnknownItem
from derlem.pipeline.lock import instance_lock

FILTERS = [
    ItemFilter(),
    ItemFilter(source="images"),
    ItemFilter(status="ready", category="clipart"),
    ItemFilter(corpus="first"),
    ItemFilter(min_side=100, max_side=500, max_bytes=40_000),
    ItemFilter(text="A"),
    ItemFilter(reason="corrupt"),
    ItemFilter(category="no such"),
]


@settings(max_examples=25)
@given(st.sampled_from(FILTERS), st.integers(1, 70))
def test_pages_forward_and_back_are_all_items(browsed: derlem.Project, chosen: ItemFilter, size: int) -> None:
    """Pages contain every item of a filter once and in order, and the way back shows the same pages."""
    explore = browsed.explore
    pages = [explore.page(chosen, size)]
    while (after := pages[-1].after) is not None:
        pages.append(explore.page(chosen, size, after=after))
    found = [item.key for page in pages for item in page.items]
    keys = [(key.ordinal, key.source, key.item_id) for key in found]
    assert keys == sorted(set(keys))
    assert len(keys) == explore.count(chosen)
    assert pages[0].before is None
    for earlier, later in itertools.pairwise(pages):
        assert later.before is not None
        back = explore.page(chosen, size, before=later.before)
        assert back.items == earlier.items and back.after == earlier.after
        assert (back.before is None) == (earlier is pages[0])


def test_facets_count_all_items(browsed: derlem.Project) -> None:
    facets, total = browsed.explore.facets(), browsed.explore.count(ItemFilter())
    assert sum(count for _, count in facets.sources) == total
    assert sum(count for _, count in facets.statuses) == total
    for name, count in facets.categories:
        assert browsed.explore.count(ItemFilter(category=name)) == count
    assert facets.corpora == ("first", "second")


def test_an_item_names_its_manifests_and_why(browsed: derlem.Project) -> None:
    explore = browsed.explore
    [drawn] = explore.page(ItemFilter(corpus="first"), 1).items
    details = explore.item(drawn.item_id)
    first = next(held for held in details.memberships if held.corpus == "first")
    assert first.allocations[0].why == "target 20"
    assert (first.allocations[-1].node, first.allocations[-1].source) == (drawn.category, drawn.source)
    assert first.shard is not None and first.shard.startswith("corpora/first/")
    history = explore.history(drawn.source, drawn.item_id)
    assert history.complete
    assert [row.status for row in history.rows] == ["ready", "discovered"]
    with pytest.raises(UnknownItem):
        explore.item("0" * 32)
    with pytest.raises(UnknownManifest):
        explore.allocations("none")


def test_the_difference_of_manifests_is_that_of_the_library(browsed: derlem.Project) -> None:
    assert browsed.explore.diff("first", "second") == browsed.diff("first", "second")


def test_a_withdrawn_image_has_no_thumbnail(demo: Path, tmp_path: Path) -> None:
    source = {
        "name": "food",
        "adapter": "files",
        "path": str(demo / "clipart" / "food"),
        "license": "CC-PDDC",
    }
    project = derlem.Project({"sources": [source], "workspace": str(tmp_path / "work")})
    project.discover()
    project.ingest()
    thumbnails = Thumbnails(project.explore)
    item = project.explore.page(ItemFilter(status="ready"), 1).items[0]
    assert item.sha256 is not None
    assert thumbnails.get(item.sha256).startswith(b"\xff\xd8")
    project.withdraw(key=item.item_id, purge=True)
    with pytest.raises(Unavailable):
        thumbnails.get(item.sha256)
    thumbnails.close()
    project.explore.close()


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path / "work")
    with write_catalog(workspace):
        pass
    yield workspace


def test_a_commit_waits_for_running_queries_only(idle: Workspace) -> None:
    """Threads query without a pause; a run that holds the lock still opens the catalog, many times."""
    from derlem.pipeline.lock import lock_holder

    reader = SharedReader(idle, "100MB", lambda: lock_holder(idle) is not None)
    done = threading.Event()

    def query() -> int:
        answered = 0
        while not done.is_set():
            with reader.cursor(5) as cursor:
                cursor.execute("FROM progress").fetchall()
            answered += 1
        return answered

    with ThreadPoolExecutor(3) as threads:
        readers = [threads.submit(query) for _ in range(3)]
        try:
            with instance_lock(idle, "test"):
                for _ in range(3):
                    with write_catalog(idle, wait=30) as connection:
                        connection.execute("INSERT INTO withdrawn_hashes VALUES ('x')")
        finally:
            done.set()
        assert all(future.result() for future in readers)
    reader.close()


def test_a_query_over_its_time_is_interrupted(idle: Workspace) -> None:
    reader = SharedReader(idle, "100MB", lambda: False)
    endless = "SELECT count(*) FROM range(1000000000000) AS t(n) WHERE n % 7 = 3"
    with pytest.raises(QueryTimeout), reader.cursor(0.2) as cursor:
        cursor.execute(endless).fetchall()
    with reader.cursor(5) as cursor:
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    reader.close()


def test_a_notebook_explores_and_queries_in_one_process(browsed: derlem.Project) -> None:
    """The connections of a process share their configuration, which the first one has locked."""
    assert browsed.explore.count(ItemFilter()) == browsed.sql("FROM items").num_rows
    assert browsed.explore.count(ItemFilter()) == sum(row.discovered for row in browsed.status().sources)
