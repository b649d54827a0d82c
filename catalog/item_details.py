"""One item in full: its parents, its source, the manifests that hold it, and its rows in the segments."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from ..core.errors import DerlemError
from ..core.workspace import Workspace
from .queries import query
from .segment_files import stored

MAX_PARENTS = 8
IMAGE_COLUMNS = ("media_type", "width", "height", "bytes", "offset", "length")
HISTORY_GROUP = 32
"""Segment files that one query searches; the time limit is checked between queries."""


class UnknownItem(DerlemError):
    """The catalog has no item with this id."""

    exit_code = 2

    def __init__(self, item_id: str) -> None:
        self.item_id = item_id
        super().__init__(f"the catalog has no item {item_id!r}")


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """The registry's entry of a source; `declaration` is as configured. Times are UTC."""

    name: str
    adapter: str
    license: str
    homepage: str | None
    declaration: Mapping[str, Any]
    declared_at: datetime
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True)
class AllocationRow:
    """A node of a manifest's category tree: its bounds, its number and the rule that decided the number.

    `source` is '' for a category, else the row is the stratum (node, source).
    """

    node: str
    source: str
    share: str | None
    available: int
    floor: int
    cap: int
    allocated: int
    why: str


@dataclass(frozen=True, slots=True)
class Membership:
    """An item in a manifest: its first position, its occurrences, its shard if built, and its stratum.

    `allocations` lead from the root of the category tree to the stratum.
    """

    corpus: str
    position: int
    occurrences: int
    shard: str | None
    allocations: tuple[AllocationRow, ...]


@dataclass(frozen=True, slots=True)
class ItemDetails:
    """An item: its row (`columns` by name, JSON parsed), its parents, its source and its manifests.

    `parents` starts with the item's own parent. `children` counts the items whose parent this item is, by
    status. `run` is the command, version and start of the run that wrote the row.
    """

    columns: Mapping[str, Any]
    parents: tuple[Mapping[str, Any], ...]
    children: Mapping[str, int]
    source: SourceEntry | None
    run: tuple[str, str, datetime] | None
    memberships: tuple[Membership, ...]

    @property
    def stored_images(self) -> tuple[Mapping[str, Any], ...]:
        """The stored images of the record in order: IMAGE_COLUMNS and sha256 by name."""
        row = self.columns
        if row["status"] != "ready" or row["offset"] is None:
            return ()
        first = {name: row[name] for name in IMAGE_COLUMNS} | {"sha256": row["first_sha256"] or row["sha256"]}
        return (first, *(row["more_images"] or ()))

    @property
    def evidence(self) -> Mapping[str, Any]:
        """Opt-out signals that were read for the item: raw values and the names of opt-outs."""
        meta = self.columns["meta"]
        return {key: meta[key] for key in ("opt_outs", "opt_out") if key in meta}


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A row of an item in a segment, by the segment's name and kind."""

    segment: str
    kind: str
    status: str
    reason: str | None
    detail: str | None
    attempts: int
    sha256: str | None
    revision: str
    run: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class History:
    """The rows of an item in segments, the newest first; `searched` of `segments` files were searched."""

    rows: tuple[HistoryRow, ...]
    searched: int
    segments: int

    @property
    def complete(self) -> bool:
        """Whether all segments of the source were searched."""
        return self.searched == self.segments


def read_details(connection: duckdb.DuckDBPyConnection, item_id: str) -> ItemDetails:
    """Return an item. Raises UnknownItem."""
    row = read_row(connection, item_id)
    parents: list[Mapping[str, Any]] = []
    above = row["parent_id"]
    while above and len(parents) < MAX_PARENTS:
        found = _rows(connection, "browse/item", {"item_id": above})
        if not found:
            break
        parents.append(_parsed(found[0]))
        above = found[0]["parent_id"]
    children = connection.execute(query("browse/children"), {"item_id": item_id}).fetchall()
    runs = connection.execute(query("browse/run"), {"run": row["run"]}).fetchall()
    return ItemDetails(
        columns=row,
        parents=tuple(parents),
        children=dict(children),
        source=read_source(connection, row["source"]),
        run=runs[0] if runs else None,
        memberships=tuple(_memberships(connection, item_id)),
    )


def read_row(connection: duckdb.DuckDBPyConnection, item_id: str) -> dict[str, Any]:
    """Return the columns of an item by name, JSON parsed. Raises UnknownItem."""
    rows = _rows(connection, "browse/item", {"item_id": item_id})
    if not rows:
        raise UnknownItem(item_id)
    return _parsed(rows[0])


def read_source(connection: duckdb.DuckDBPyConnection, name: str) -> SourceEntry | None:
    """Return the registry's entry of a source, if there is one."""
    rows = connection.execute(query("browse/source_row"), {"source": name}).fetchall()
    if not rows:
        return None
    adapter, license, homepage, config, declared_at, withdrawn_at = rows[0]
    return SourceEntry(name, adapter, license, homepage, json.loads(config), declared_at, withdrawn_at)


def child_allocations(
    connection: duckdb.DuckDBPyConnection, corpus: str, node: str
) -> tuple[AllocationRow, ...]:
    """Return a node of a manifest's category tree with its sources and sub-categories."""
    values = {"corpus": corpus, "node": node}
    return tuple(AllocationRow(*row) for row in _fetch(connection, "browse/child_allocations", values))


def read_history(workspace: Workspace, source: str, item_id: str, seconds: float) -> History:
    """Search the segments of a source for the rows of an item, the newest segments first.

    Random ids cannot be located by an index, so the search reads one column of each file. The search ends
    with the group of files in which `seconds` have passed.
    """
    deadline = time.monotonic() + seconds
    files = stored(workspace, source)[::-1]
    rows: list[HistoryRow] = []
    searched = 0
    connection = duckdb.connect(":memory:")
    try:
        while searched < len(files) and time.monotonic() < deadline:
            group = files[searched : searched + HISTORY_GROUP]
            values = {"files": [str(path) for path in group], "item_id": item_id}
            rows += [_history_row(*row) for row in _fetch(connection, "browse/history", values)]
            searched += len(group)
    finally:
        connection.close()
    rows.sort(key=lambda row: row.segment, reverse=True)
    return History(tuple(rows), searched, len(files))


def _history_row(file: str, *values: Any) -> HistoryRow:
    import pyarrow.parquet as pq

    path = Path(file)
    facts = json.loads((pq.read_metadata(path).metadata or {}).get(b"derlem", b"{}"))
    return HistoryRow(f"{path.parent.name}/{path.stem}", facts.get("kind", ""), *values)


def _memberships(connection: duckdb.DuckDBPyConnection, item_id: str) -> list[Membership]:
    found = []
    for corpus, position, occurrences, node, source, shard in _fetch(
        connection, "browse/memberships", {"item_id": item_id}
    ):
        steps = node.split("/") if node else []
        path = ["/".join(steps[:depth]) for depth in range(len(steps) + 1)]
        rows = _fetch(connection, "browse/allocations", {"corpus": corpus, "nodes": path})
        chain = [AllocationRow(*row) for row in rows if row[1] == "" or (row[0], row[1]) == (node, source)]
        found.append(Membership(corpus, position, occurrences, shard, tuple(chain)))
    return found


def _fetch(
    connection: duckdb.DuckDBPyConnection, name: str, values: Mapping[str, object]
) -> Sequence[tuple[Any, ...]]:
    return connection.execute(query(name), dict(values)).fetchall()


def _rows(
    connection: duckdb.DuckDBPyConnection, name: str, values: Mapping[str, object]
) -> list[dict[str, Any]]:
    result = connection.execute(query(name), dict(values))
    columns = [column[0] for column in result.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def _parsed(row: dict[str, Any]) -> dict[str, Any]:
    for name in ("meta", "conversations", "locator_state"):
        if isinstance(row[name], str):
            row[name] = json.loads(row[name])
    return row
