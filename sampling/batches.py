"""Takes the batches of a query's result apart, in two threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa


def placed(
    batches: Iterable[pa.RecordBatch],
    take: Callable[[int, pa.RecordBatch], None],
    rows: Callable[[pa.RecordBatch], int] = len,
) -> int:
    """Call `take` with each batch and the rows before it, in two threads; returns how many rows there are."""
    count = 0
    with ThreadPoolExecutor(2) as threads:
        under_way = []
        for batch in batches:
            under_way.append(threads.submit(take, count, batch))
            count += rows(batch)
        for future in under_way:
            future.result()
    return count
