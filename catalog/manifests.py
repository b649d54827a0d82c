"""Assigns the numbers by which manifest rows refer to their manifest."""

from __future__ import annotations

import duckdb


def manifest_number(connection: duckdb.DuckDBPyConnection, corpus: str) -> int:
    """Return the number of the corpus's manifest; without a manifest, the next free number."""
    [(number,)] = connection.execute(
        """SELECT coalesce(max(number) FILTER (WHERE corpus = $corpus), coalesce(max(number), 0) + 1)
        FROM manifests""",
        {"corpus": corpus},
    ).fetchall()
    return int(number)
