"""Withdraws items: segments mark them as withdrawn, and they are no candidates of any later draw."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ..catalog.connection import read_catalog
from ..catalog.models import now
from ..catalog.queries import query
from ..catalog.segments import row_schema
from ..core.errors import ConfigError, QueryError
from ..core.workspace import Workspace
from .segment_store import SegmentStore


@dataclass(frozen=True, slots=True)
class Takedown:
    """What is to be withdrawn: exactly one of a source, a key (item id) and a predicate over `items`."""

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


def find(workspace: Workspace, takedown: Takedown, run: str) -> pa.Table:
    """The rows that the takedown would write, as the schema of segments; nothing is changed.

    A takedown reaches every copy in any source: items with the same normalised or original bytes.

    QueryError for a predicate that the database rejects. ConfigError for a source or key that the catalog
    does not hold: a mistyped one must not look like a takedown.
    """
    with read_catalog(workspace) as connection:
        _choose(connection, takedown)
        chosen = connection.execute("SELECT count(*) FROM chosen_items").fetchall()
        if takedown.where is None and chosen == [(0,)]:
            raise ConfigError(f"{takedown}: the catalog holds no such item")
        while connection.execute(query("segments/chosen_identical")).fetchall():
            pass  # copies of copies
        parameters = {"run": run, "at": now(), "detail": str(takedown)}
        rows = connection.execute(query("segments/withdrawable"), parameters).to_arrow_table()
    return rows.cast(row_schema())


def count_by_source(workspace: Workspace, takedown: Takedown) -> dict[str, int]:
    """How many items of each source the takedown would withdraw; writes nothing. Raises what `find` does."""
    sources = find(workspace, takedown, "").column("source").value_counts().to_pylist()
    return {counted["values"]: counted["counts"] for counted in sources}


def withdraw(store: SegmentStore, takedown: Takedown, run: str) -> dict[str, int]:
    """Mark the items as withdrawn; returns how many of each source."""
    rows = find(store.workspace, takedown, run)
    counts: dict[str, int] = {}
    for source in pc.unique(rows.column("source")).to_pylist():
        mine = rows.filter(pc.equal(rows.column("source"), source))
        store.write_rows(source, "withdraw", run, mine)
        counts[source] = mine.num_rows
    store.commit()
    return counts


def _choose(connection: duckdb.DuckDBPyConnection, takedown: Takedown) -> None:
    if takedown.source is not None:
        connection.execute(query("segments/chosen_by_source"), {"source": takedown.source})
    elif takedown.key is not None:
        connection.execute(query("segments/chosen_by_key"), {"key": takedown.key})
    else:
        try:
            connection.execute(
                "CREATE OR REPLACE TEMP TABLE chosen_items AS"
                f" SELECT item_id FROM items WHERE ({takedown.where})"
            )
        except duckdb.Error as error:
            raise QueryError(f"--where {takedown.where}: {error}") from error
