"""Batches of rows: taken apart in two threads, and made ahead of their use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa

HANDY = 2**16
"""Rows of a batch that is worked on in parts: few enough for caches, and for memory that is there already."""


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


@contextmanager
def ahead(tables: Iterator[pa.Table]) -> Iterator[Iterator[pa.Table]]:
    """The tables, each made in a thread while the one before it is worked on; the first from now on."""
    with ThreadPoolExecutor(max_workers=1) as maker:
        coming = maker.submit(next, tables, None)

        def following() -> Iterator[pa.Table]:
            nonlocal coming
            while (table := coming.result()) is not None:
                coming = maker.submit(next, tables, None)
                yield table

        yield following()
