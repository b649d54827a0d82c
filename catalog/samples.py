"""Stored samples, as all rooms name them."""

from __future__ import annotations

import duckdb

from .queries import query


def sample_number(connection: duckdb.DuckDBPyConnection, sample: str) -> int:
    """The number by which seats name this sample, given to it now if it has none; the connection writes."""
    connection.execute(query("sampling/number_sample"), {"sample": sample})
    found = connection.execute("SELECT number FROM numbered_samples WHERE sample = ?", [sample]).fetchall()
    return int(found[0][0])
