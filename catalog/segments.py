"""Merges segments into the catalog, the only way to add or change items.

Merging is idempotent: a merged segment is skipped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import cache

import duckdb
import pyarrow as pa

from ..core.errors import DerlemError
from .connection import create_tables, transaction
from .counts import count, fold
from .queries import query, quoted
from .segment_files import Segment
from .status import TRANSITIONS, Status

log = logging.getLogger("derlem.pipeline")


class ForbiddenMove(DerlemError):
    """Segments contain status moves outside the transition table; no segment was merged."""

    def __init__(self, moves: Sequence[tuple[str, str, int, str]]) -> None:
        self.moves = list(moves)
        found = (f"{old} -> {new}: {count} items, such as {item}" for old, new, count, item in moves)
        super().__init__(f"segments hold forbidden status moves: {'; '.join(found)}")


@cache
def row_schema() -> pa.Schema:
    """Return the Arrow schema of a segment's rows: the columns of `items` in the DDL, without `segment`."""
    connection = duckdb.connect(":memory:")
    try:
        create_tables(connection)
        table = connection.sql("SELECT * EXCLUDE (segment) FROM items LIMIT 0").to_arrow_table()
    finally:
        connection.close()
    return table.schema.remove_metadata()


def merge(connection: duckdb.DuckDBPyConnection, segments: Iterable[Segment]) -> int:
    """Merge segments in one transaction; return the number of new segments.

    The cost of a merge of known items depends on the segments' rows and hardly on the size of the catalog:
    rows are found by their source and ordinal. All other items are searched by id in their source.
    Raises ForbiddenMove, without a change, if a row violates the transition table.
    """
    given = list(segments)
    names = {"names": [segment.name for segment in given]}
    known = {name for (name,) in connection.execute(query("segments/known_segments"), names).fetchall()}
    new = [segment for segment in given if segment.name not in known]
    if not new:
        return 0
    with transaction(connection):
        _take(connection, new)
        connection.execute(query("segments/present"))
        if _holds_rows(connection, "elsewhere"):
            connection.execute(query("segments/elsewhere"))
        _refuse_forbidden_moves(connection)
        connection.execute(query("segments/placed"))
        connection.execute(query("segments/replace"))
        count(connection, -1)
        connection.execute(query("segments/remove"))
        connection.execute(query("segments/insert"))
        count(connection, 1)
        _withdraw_identical(connection)
        fold(connection)
        connection.execute(
            "INSERT INTO segments SELECT segment, source, number, kind, run, items, tar_bytes, written_at"
            " FROM incoming_segments"
        )
        connection.execute(query("segments/release"))
    return len(new)


def _take(connection: duckdb.DuckDBPyConnection, segments: Sequence[Segment]) -> None:
    """Create the temporary table `incoming` with the segments' deciding rows."""
    files = [str(segment.path) for segment in segments]
    # lists, since for an Arrow table DuckDB imports pyarrow.dataset, the longest step of a small run
    columns = ("source", "number", "kind", "run", "items", "tar_bytes", "written_at")
    listed = {column: [getattr(segment, column) for segment in segments] for column in columns}
    names = [segment.name for segment in segments]
    connection.execute(query("segments/listed"), {"file": files, "segment": names, **listed})
    rows = connection.read_parquet(files, filename=True, file_row_number=True)
    rows.create_view("incoming_rows", replace=True)
    connection.execute(query("segments/incoming"))
    connection.execute("DROP VIEW incoming_rows")


def _withdraw_identical(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep the hashes of withdrawn items, and withdraw every item with one of them, whenever it arrives.

    The hashes of an item that is withdrawn so are kept, too: what is identical to it follows.
    """
    connection.execute(query("segments/withdrawn_items"))
    withdrawn = 0
    while True:
        added = connection.execute(query("segments/withdrawn_hashes")).fetchall()
        if not added and (withdrawn or not _holds_rows(connection, "withdrawn_hashes")):
            break
        # only new hashes concern items that were merged before
        connection.execute(f"CREATE OR REPLACE TEMP VIEW counted AS FROM {'items' if added else 'incoming'}")
        connection.execute(query("segments/identical"))
        if not _holds_rows(connection, "withdrawn_items"):
            break
        connection.execute("CREATE OR REPLACE TEMP VIEW counted AS FROM withdrawn_items")
        count(connection, -1)
        [(changed,)] = connection.execute(query("segments/withdraw_identical")).fetchall()
        count(connection, 1)
        withdrawn += changed
    if withdrawn:
        log.warning("%d items are identical to withdrawn ones and are withdrawn, too", withdrawn)


def _holds_rows(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    return bool(connection.execute(f"SELECT 1 FROM {quoted(table)} LIMIT 1").fetchall())


def _refuse_forbidden_moves(connection: duckdb.DuckDBPyConnection) -> None:
    forbidden = [
        (old, new, count, item)
        for old, new, count, item in connection.execute(query("segments/moves")).fetchall()
        if Status(new) not in TRANSITIONS[Status(old)]
    ]
    if forbidden:
        raise ForbiddenMove(forbidden)
