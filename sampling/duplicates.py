"""Finds items with the bytes of another one.

Two steps: the hashes whose first digits another hash begins with too are the suspects, and only their items
are compared whole. To find the suspects in SQL is to group all items by a string; to fetch the digits and
sort them as integers takes half of that time.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ..catalog.queries import query
from .batches import placed
from .integers import Numbers, digits, sort
from .relations import Relations

_DIGITS = 8
"""Of a hash; as characters they make one 64-bit integer. In 100 million items 2 % share them by chance."""


def fill_suspects(made: Relations) -> None:
    """Put the beginnings of hashes that several candidates share into `sample_suspects`."""
    prefixes = _prefixes(made)
    sort(prefixes)
    twice = prefixes[1:] == prefixes[:-1]
    first = twice & ~np.insert(twice[:-1], 0, False)  # of each run of equal ones
    shared = prefixes[1:][first].view(f"S{_DIGITS}")
    made.fill("sample_suspects", {"prefix": pa.array(shared.astype(str), pa.string())})


def _prefixes(made: Relations) -> Numbers:
    """The first digits of the candidates' hashes, in no order that means anything."""
    table = made.fetch(query("sampling/prefixes"))
    prefixes = np.empty(len(table), np.uint64)

    def take(start: int, batch: pa.RecordBatch) -> None:
        found = digits(batch.column("prefix"), _DIGITS).view(np.uint64)[:, 0]
        prefixes[start : start + len(found)] = found

    placed(table.to_batches(), take)
    return prefixes
