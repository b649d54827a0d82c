"""Withdraws items: writes segments that mark the items as withdrawn, and excludes them from later draws."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ..catalog.models import now
from ..catalog.queries import query
from ..catalog.segments import row_schema
from ..catalog.user_queries import user_connection
from ..core.errors import ConfigError, QueryError
from ..core.workspace import Workspace
from .segment_store import SegmentStore


@dataclass(frozen=True, slots=True)
class Selection:
    """The items to withdraw, by exactly one of a source, a key (item id) and a predicate over `items`."""

    source: str | None = None
    key: str | None = None
    where: str | None = None

    def __post_init__(self) -> None:
        if sum(part is not None for part in (self.source, self.key, self.where)) != 1:
            raise ConfigError("exactly one of --source, --key and --where is needed")

    def __str__(self) -> str:
        if self.source is not None:
            return f"source {self.source}"
        return f"key {self.key}" if self.key is not None else f"where {self.where}"


def find(workspace: Workspace, selection: Selection, run: str) -> tuple[pa.Table, int]:
    """The rows that a withdrawal of the selection would write, in the schema of segments; writes nothing.

    The rows include copies in all sources: items with the same normalized or original bytes. The second value
    is the number of these copies and their pages.

    QueryError for a predicate that the database rejects. ConfigError for a source or key without items in
    the catalog, because a mistyped selection must not succeed as an empty one.
    """
    with user_connection(workspace) as connection:
        _choose(connection, selection)
        chosen = connection.execute("SELECT count(*) FROM chosen_items").fetchall()
        if selection.where is None and chosen == [(0,)]:
            raise ConfigError(f"{selection}: the catalog holds no such item")
        copies: set[str] = set()
        while found := connection.execute(query("segments/chosen_identical")).fetchall():
            copies.update(item for (item,) in found)  # and copies of copies
        parameters = {"run": run, "at": now(), "detail": str(selection)}
        rows = connection.execute(query("segments/withdrawable"), parameters).to_arrow_table()
    number = 0
    if copies:
        pairs = zip(rows.column("item_id").to_pylist(), rows.column("parent_id").to_pylist(), strict=True)
        number = sum(not copies.isdisjoint(pair) for pair in pairs)
    return rows.cast(row_schema()), number


def count(workspace: Workspace, selection: Selection) -> tuple[dict[str, int], int]:
    """The number of items to withdraw by source, and of copies among them; writes nothing.

    Raises the exceptions of `find`.
    """
    rows, copies = find(workspace, selection, "")
    sources = rows.column("source").value_counts().to_pylist()
    return {counted["values"]: counted["counts"] for counted in sources}, copies


def withdraw(store: SegmentStore, selection: Selection, run: str) -> tuple[dict[str, int], int]:
    """Mark the items as withdrawn; return their number by source, and the number of copies among them."""
    rows, copies = find(store.workspace, selection, run)
    counts: dict[str, int] = {}
    for source in pc.unique(rows.column("source")).to_pylist():
        own_rows = rows.filter(pc.equal(rows.column("source"), source))
        store.write_rows(source, "withdraw", run, own_rows)
        counts[source] = own_rows.num_rows
    store.commit()
    return counts, copies


def _choose(connection: duckdb.DuckDBPyConnection, selection: Selection) -> None:
    if selection.source is not None:
        connection.execute(query("segments/chosen_by_source"), {"source": selection.source})
    elif selection.key is not None:
        connection.execute(query("segments/chosen_by_key"), {"key": selection.key})
    elif selection.where is not None:
        try:
            # `filter` accepts a predicate and rejects further statements
            chosen = connection.table("items").filter(selection.where).select("item_id")
            connection.register("chosen_ids", chosen.to_arrow_table())
            connection.execute("CREATE OR REPLACE TEMP TABLE chosen_items AS FROM chosen_ids")
        except duckdb.Error as error:
            raise QueryError(f"--where {selection.where}: {error}") from error
