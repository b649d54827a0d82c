"""Finds the candidates that may have the bytes of another one.

To find them in portable SQL is to group all candidates by a string. DuckDB's `hash` of each sha256 is an
integer, and ten million integers are fetched and sorted in a quarter of that time. Only the candidates
whose integer occurs twice are compared whole (`sql/sampling/duplicates.sql`); of its bits 32 are enough, for
in 100 million items 2 % share them by chance. `hash` may be another function in the next version of DuckDB:
what is a duplicate, and which one stays, does not depend on it. Another engine may take all candidates for
suspects.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..catalog.queries import query
from .integers import sort
from .relations import Relations


def find_suspects(made: Relations) -> None:
    """Make the view `sample_suspects`: all candidates that share a sha256, and some that do not."""
    buckets = _buckets(made)
    sort(buckets)
    twice = buckets[1:] == buckets[:-1]
    first = twice & ~np.insert(twice[:-1], 0, False)  # of each run of equal ones
    made.fill("sample_buckets", {"bucket": pa.array(buckets[1:][first])})
    made.view("sample_suspects", query("duckdb/suspects"))


def _buckets(made: Relations) -> npt.NDArray[np.uint32]:
    """An integer for each candidate, the same for the same sha256, in no order that means anything."""
    fetched = made.fetch(query("duckdb/buckets")).column("bucket")
    return np.concatenate([np.empty(0, np.uint32), *(chunk.to_numpy() for chunk in fetched.chunks)])
