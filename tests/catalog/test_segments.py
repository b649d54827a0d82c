"""The catalog is a fold over segments: however they are merged, the same table comes out."""

from __future__ import annotations

import itertools
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem.catalog.counts import count_items, recount
from derlem.catalog.segment_files import BadSegment, Segment, inspect, stored
from derlem.catalog.segments import ForbiddenMove, merge
from derlem.catalog.status import TRANSITIONS, Status
from derlem.core.workspace import Workspace
from tests.factories.catalog import item_row, memory_catalog
from tests.factories.segments import write_segment

MERGEABLE = [status for status in Status if status is not Status.DISCOVERED]


def write_statuses(workspace: Workspace, number: int, kind: str, statuses: dict[str, Status]) -> Path:
    """A segment of source `s` that gives each named item a status.

    An item has another ordinal in every third segment, as after a listing that announced it again.
    """
    rows = [
        item_row(
            uri=name, ordinal=ord(name) if number % 3 else place, status=status, caption=f"segment {number}"
        )
        for place, (name, status) in enumerate(statuses.items())
    ]
    return write_segment(workspace, number, rows, kind=kind, run=f"r{number}")


def contents(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    """The items, after a check that each is stored once, and of the counts beside them."""
    assert not connection.execute("SELECT item_id FROM items GROUP BY item_id HAVING count(*) > 1").fetchall()
    kept = counts(connection)
    recount(connection)
    assert kept == counts(connection)
    return connection.execute("SELECT * FROM items ORDER BY item_id").fetchall()


def counts(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT * EXCLUDE (last_ordinal) FROM item_counts ORDER BY ALL").fetchall()


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, dict[str, Status]]]:
    """Segments as a pipeline writes them: items are listed, also repeatedly, read, retried, withdrawn."""
    state: dict[str, Status] = {}
    history: list[tuple[str, dict[str, Status]]] = []
    names = st.lists(st.sampled_from("abcdef"), unique=True, min_size=1)
    for _ in range(draw(st.integers(1, 7))):
        kind = draw(st.sampled_from(["discover", "ingest", "retry", "withdraw"]))
        rows: dict[str, Status] = {}
        for name in draw(names):
            if kind == "discover":
                rows[name] = Status.DISCOVERED
                state.setdefault(name, Status.DISCOVERED)
                continue
            before = state.get(name)
            wanted = {"retry": {Status.DISCOVERED}, "withdraw": {Status.WITHDRAWN}}.get(
                kind, set(MERGEABLE) - {Status.WITHDRAWN}
            )
            moves = sorted(TRANSITIONS[before] & wanted) if before else []
            if moves:
                rows[name] = state[name] = draw(st.sampled_from(moves))
        if rows:
            history.append((kind, rows))
    return history


def group_bounds(history: list[tuple[str, dict[str, Status]]], cuts: set[int]) -> list[int]:
    """Where groups of segments begin, and the end: at the cuts, and wherever a group would skip a move.

    A merge sees the last status of an item alone: failed -> discovered -> ready takes two merges.
    """
    merged: dict[str, Status] = {}
    current: dict[str, Status] = {}
    bounds = [0]
    for at, (kind, rows) in enumerate(history):
        changed = {name: status for name, status in rows.items() if kind != "discover" or name not in current}
        skips = any(
            name in merged and status not in TRANSITIONS[merged[name]] for name, status in changed.items()
        )
        if at and (at in cuts or skips):
            bounds.append(at)
            merged = dict(current)
        current |= changed
    return [*bounds, len(history)]


@given(history=histories(), cuts=st.sets(st.integers(0, 7)))
def test_any_grouping_of_merges_gives_the_same_catalog(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, dict[str, Status]]], cuts: set[int]
) -> None:
    workspace = Workspace(tmp_path_factory.mktemp("fold"))
    for number, (kind, rows) in enumerate(history, start=1):
        write_statuses(workspace, number, kind, rows)
    segments = [inspect(workspace, path) for path in stored(workspace)]

    one_by_one = memory_catalog()
    for segment in segments:
        merge(one_by_one, [segment])
    at_once = memory_catalog()
    merge(at_once, segments)
    assert contents(at_once) == contents(one_by_one)

    grouped = memory_catalog()
    for start, stop in itertools.pairwise(group_bounds(history, cuts)):
        merge(grouped, segments[start:stop])
    assert contents(grouped) == contents(one_by_one)

    assert merge(grouped, segments) == 0, "merging again changes nothing"
    assert contents(grouped) == contents(one_by_one)


@given(history=histories(), data=st.data())
def test_no_order_of_merges_stores_an_item_twice(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[tuple[str, dict[str, Status]]],
    data: st.DataObject,
) -> None:
    workspace = Workspace(tmp_path_factory.mktemp("order"))
    for number, (kind, rows) in enumerate(history, start=1):
        write_statuses(workspace, number, kind, rows)
    waiting = data.draw(st.permutations([inspect(workspace, path) for path in stored(workspace)]))
    connection, merged = memory_catalog(), set[str]()
    while waiting:
        size = data.draw(st.integers(1, len(waiting)))
        group, waiting = waiting[:size], waiting[size:]
        try:
            merge(connection, group)
        except ForbiddenMove:
            continue
        merged.update(name for segment in group for name in history[segment.number - 1][1])
        assert connection.execute("SELECT uri FROM items ORDER BY uri").fetchall() == [
            (n,) for n in sorted(merged)
        ]
    contents(connection)


def test_items_announced_again_keep_their_first_row(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    connection = memory_catalog()
    for number, ordinal in enumerate((3, 8, 3, 12), start=1):
        rows = [item_row(uri=name, ordinal=ordinal + at) for at, name in enumerate("ab")]
        announced = [{**row, "status": Status.DISCOVERED} for row in rows]
        merge(connection, [inspect(workspace, write_segment(workspace, number, announced, kind="discover"))])
        assert connection.execute("SELECT uri, ordinal FROM items").fetchall() == [("a", 3), ("b", 4)]
    contents(connection)


def test_a_segment_merged_late_finds_its_items_at_other_ordinals(tmp_path: Path) -> None:
    """As after a file that was lost has come back, when a later listing has announced its items again."""
    workspace = Workspace(tmp_path)

    def segment(number: int, kind: str, ordinal: int, status: Status) -> Segment:
        row = item_row(uri="a", ordinal=ordinal, status=status, sha256=f"{ordinal:064x}", bytes=ordinal)
        return inspect(workspace, write_segment(workspace, number, [row], kind=kind))

    first, second = segment(1, "discover", 3, Status.DISCOVERED), segment(2, "retry", 3, Status.READY)
    connection = memory_catalog()
    merge(connection, [segment(4, "discover", 8, Status.DISCOVERED)])
    merge(connection, [first])
    assert connection.execute("SELECT ordinal, status FROM items").fetchall() == [(8, "discovered")]
    merge(connection, [second])
    assert connection.execute("SELECT ordinal, status FROM items").fetchall() == [(3, "ready")]
    assert count_items(connection, ["s", "t"], Status.READY) == {"s": 1, "t": 0}
    assert len(contents(connection)) == 1


def test_identical_items_are_counted_as_withdrawn(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    connection = memory_catalog()
    rows = [item_row(uri=name, ordinal=place, sha256="5" * 64) for place, name in enumerate("abc")]
    taken = [{**rows[1], "status": Status.WITHDRAWN}]
    merge(connection, [inspect(workspace, write_segment(workspace, 1, rows))])
    merge(connection, [inspect(workspace, write_segment(workspace, 2, taken, kind="withdraw"))])
    late = [item_row(uri="d", ordinal=3, sha256="5" * 64)]
    merge(connection, [inspect(workspace, write_segment(workspace, 3, late))])
    assert count_items(connection, ["s"], Status.WITHDRAWN) == {"s": 4}
    assert len(contents(connection)) == 4


@pytest.mark.parametrize("old", list(Status))
@pytest.mark.parametrize("new", list(Status))
def test_only_the_transition_table_moves_items(tmp_path: Path, old: Status, new: Status) -> None:
    workspace = Workspace(tmp_path)
    connection = memory_catalog()
    first = inspect(workspace, write_statuses(workspace, 1, "retry", {"a": old}))
    second = inspect(workspace, write_statuses(workspace, 2, "retry", {"a": new}))
    merge(connection, [first])
    if new in TRANSITIONS[old]:
        merge(connection, [second])
        expected = new
    else:
        with pytest.raises(ForbiddenMove, match=f"{old} -> {new}"):
            merge(connection, [second])
        expected = old
    assert connection.execute("SELECT status FROM items").fetchall() == [(expected,)]
    held = connection.execute("SELECT count(*) FROM segments").fetchone()
    assert held == (2 if new in TRANSITIONS[old] else 1,)


def test_a_file_that_is_no_segment_is_named(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    path = tmp_path / "store" / "s" / "000001.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(BadSegment, match="000001"):
        inspect(workspace, path)


def test_a_segment_whose_tar_is_cut_is_refused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    path = write_segment(workspace, 1, [(item_row(), b"image")])
    tar = path.with_suffix(".tar")
    assert inspect(workspace, path).tar_bytes == tar.stat().st_size
    with tar.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(BadSegment, match="bytes"):
        inspect(workspace, path)
