"""Keeps the numbers of items by source and outcome beside `items`, in the table `item_counts`.

Each merge of segments subtracts the rows that it replaces and adds its own, in its transaction. Progress,
provenance and a run with nothing to do therefore read no items.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from .connection import transaction
from .queries import query
from .status import Reason, Status


def count(connection: duckdb.DuckDBPyConnection, sign: int) -> None:
    """Add (1) or subtract (-1) the present rows of the items in the temporary table or view `counted`.

    `counted` has the columns item_id, source and ordinal. `fold` must follow, in the same transaction.
    """
    connection.execute(query("counts/count"), {"sign": sign})


def fold(connection: duckdb.DuckDBPyConnection) -> None:
    """Add up the counts of each group."""
    connection.execute(query("counts/fold"))


def recount(connection: duckdb.DuckDBPyConnection) -> None:
    """Count all items; necessary only after another change of `items` than a merge."""
    with transaction(connection):
        connection.execute("DELETE FROM item_counts")
        connection.execute("CREATE OR REPLACE TEMP VIEW counted AS FROM items")
        count(connection, 1)
        connection.execute("DROP VIEW counted")


def count_items(
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[str],
    status: Status,
    *,
    reason: Reason | None = None,
    pages: bool | None = None,
) -> dict[str, int]:
    """The number of items of a status for each source, of one reason if given.

    With `pages`, only pages of documents (True) or only other items (False).
    """
    parameters = {"sources": list(sources), "status": status, "reason": reason, "page": pages}
    found = connection.execute(query("counts/by_source"), parameters).fetchall()
    return {**dict.fromkeys(sources, 0), **dict(found)}
