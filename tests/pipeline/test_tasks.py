"""Every pending item is in exactly one task, and the items of a key or a host are in the same task."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derlem.adapters.base import Partitioning, SourceOptions
from derlem.catalog.item_rows import to_table
from derlem.catalog.models import Item
from derlem.catalog.segments import row_schema
from derlem.pipeline.outcomes import announce
from derlem.pipeline.row_set import RowSet
from derlem.pipeline.tasks import Task, cut, plan_items, plan_pages, read_plan
from tests.factories.catalog import WHEN, insert_items, memory_catalog

SOURCE = SourceOptions(name="s", adapter="files", license="MIT")


def catalog_with(items: list[Item]) -> duckdb.DuckDBPyConnection:
    connection = memory_catalog()
    for place, item in enumerate(items):
        announce(item, ordinal=place, license="MIT", run="r", at=WHEN)
    insert_items(connection, to_table(items, row_schema()).to_pylist())
    return connection


def rows(start: int, numbers: Iterable[int]) -> RowSet:
    made = RowSet(start)
    made.update(numbers)
    return made


def planned(tasks: list[Task]) -> list[list[str]]:
    return [[item.uri for _, item in read_plan(task)] for task in tasks]


@settings(max_examples=40)
@given(
    keys=st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=30),
    workers=st.integers(1, 3),
    batch=st.integers(1, 9),
    partitioning=st.sampled_from(list(Partitioning)),
)
def test_every_pending_item_is_in_exactly_one_task(
    tmp_path_factory: pytest.TempPathFactory,
    keys: list[str],
    workers: int,
    batch: int,
    partitioning: Partitioning,
) -> None:
    items = [Item(source="s", uri=f"{place:03d}", partition_key=key) for place, key in enumerate(keys)]
    folder = tmp_path_factory.mktemp("plans")
    tasks = plan_items(catalog_with(items), SOURCE, partitioning, folder, "p", workers=workers, batch=batch)
    found = planned(tasks)
    assert sorted(uri for task in found for uri in task) == [item.uri for item in items]
    assert all(found), "no task is empty"
    if partitioning is not Partitioning.BY_WORKER:
        size = min(-(-batch // 4), -(-len(items) // (workers * 4)))
        assert all(len(task) >= size for task in found[:-1]), "tasks have the required size"

    key_of = {item.uri: item.partition_key for item in items}
    tasks_of_key = Counter(key for task in found for key in {key_of[uri] for uri in task} if key)
    if partitioning is not Partitioning.FREE:
        assert set(tasks_of_key.values()) <= {1}, "a key is never split"
    for task in found:
        for key in {key_of[uri] for uri in task}:
            mine = [uri for uri in task if key_of[uri] == key]
            assert mine == sorted(mine), "within a key, in the order of discovery"
    if partitioning is Partitioning.BY_WORKER:
        assert len(found) <= workers
        partitions = [task.partition for task in tasks if task.partition is not None]
        assert partitions == sorted(set(partitions)) and len(partitions) == len(tasks)


def test_pages_are_planned_apart_from_items(tmp_path: Path) -> None:
    pages = [
        Item(source="s", uri="d.pdf", locator=f"page={n}", document_sha256="00", locator_state={"page": n})
        for n in (1, 2, 10)
    ]
    connection = catalog_with([Item(source="s", uri="d.pdf"), *pages])
    items = plan_items(connection, SOURCE, Partitioning.FREE, tmp_path, "i", workers=2, batch=10)
    assert planned(items) == [["d.pdf"]]
    tasks = plan_pages(connection, SOURCE, tmp_path, "p", workers=2)
    found = [item.locator for task in tasks for _, item in read_plan(task)]
    assert found == ["page=1", "page=2", "page=10"]


@given(
    sizes=st.lists(st.integers(1, 50), max_size=60),
    workers=st.integers(1, 9),
    batch=st.integers(1, 100),
)
def test_cuts_cover_all_rows_and_get_smaller(sizes: list[int], workers: int, batch: int) -> None:
    rows = sum(sizes)
    anywhere = [stop - start for start, stop in pairwise(cut(rows, None, workers, batch))]
    assert sum(anywhere) == rows and all(0 < size <= batch for size in anywhere)
    assert anywhere == sorted(anywhere, reverse=True)
    if rows >= workers * 4:
        assert len(anywhere) >= workers * 2
    boundaries = [*accumulate(sizes), rows] if not sizes else list(accumulate(sizes))
    limits = cut(rows, boundaries, workers, batch)
    assert limits[-1] == rows and set(limits[1:]) <= set(boundaries)
    assert all(start < stop for start, stop in pairwise(limits))


def test_completed_items_are_skipped(tmp_path: Path) -> None:
    items = [Item(source="s", uri=str(n)) for n in range(4)]
    first, *_ = plan_items(catalog_with(items), SOURCE, Partitioning.FREE, tmp_path, "i", workers=1, batch=1)
    rest = Task(SOURCE, first.plan, 0, 4, done=rows(0, {2}), skip=frozenset({items[1].item_id}))
    assert planned([rest]) == [["0", "3"]]
    assert [row for row, _ in read_plan(replace(rest, start=1))] == [3]


@given(
    start=st.integers(0, 10**9),
    added=st.sets(st.integers(0, 100_000), max_size=20),
    other=st.integers(-9, 99),
)
def test_a_set_of_rows_contains_the_added_rows(start: int, added: set[int], other: int) -> None:
    found = rows(start, {start + row for row in added})
    assert all(start + row in found for row in added)
    assert (start + other in found) == (other in added)
    assert bool(found) == bool(added)
    copied = found.copy()
    copied.update([start + 100_001])
    assert start + 100_001 not in found and pickle.loads(pickle.dumps(copied)).copy()
    with pytest.raises(ValueError, match="is before"):
        found.update([start - 1])


def test_finished_rows_take_one_bit_each() -> None:
    finished = rows(0, range(200_000))
    assert len(pickle.dumps(finished)) < 200_000 / 8 + 10_000, "a worker that starts again receives the rows"
