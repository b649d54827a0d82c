"""The numbers by which manifest rows refer to their manifest."""

from __future__ import annotations

import duckdb


def manifest_number(connection: duckdb.DuckDBPyConnection, corpus: str) -> int:
    """The number of the corpus's manifest; for a corpus without one, the next free number."""
    [(number,)] = connection.execute(
        """SELECT coalesce(max(number) FILTER (WHERE corpus = $corpus), coalesce(max(number), 0) + 1)
        FROM manifests""",
        {"corpus": corpus},
    ).fetchall()
    return int(number)
