"""Computes the size of batches of Parquet rows for bounded memory."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow.parquet as pq

SMALL_DICTIONARY = 2**20
"""Default limit of writers for a dictionary page in bytes; a larger page contains a large value."""


def batch_rows(group: pq.RowGroupMetaData, columns: Collection[str], most_bytes: int, most_rows: int) -> int:
    """Return the rows of a row group to decode at a time, at least 1. `columns` are top-level names.

    Decoding copies a value of a dictionary for each of its rows: with a large dictionary, each value is
    estimated as large as the dictionary.
    """
    row = 0
    for at in range(group.num_columns):
        column = group.column(at)
        if column.path_in_schema.split(".")[0] not in columns:
            continue
        rows = max(group.num_rows, 1)
        average = column.total_uncompressed_size // rows
        start = column.dictionary_page_offset if column.has_dictionary_page else None
        packed = column.data_page_offset - start if start else 0
        ratio = column.total_uncompressed_size / max(column.total_compressed_size, 1)
        dictionary = int(packed * max(ratio, 1.0))
        largest = dictionary * max(column.num_values // rows, 1) if dictionary > SMALL_DICTIONARY else 0
        row += max(average, largest)
    return max(1, min(most_rows, most_bytes // max(row, 1)))
