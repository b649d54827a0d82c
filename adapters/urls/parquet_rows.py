"""Reads rows of Parquet and Arrow files as plain values; an unreadable value affects at most its own row."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from ...core.parquet_batches import batch_rows

ROWS = 10_000
"""Maximum rows per batch."""

HELD = 32 * 2**20
"""Approximate bytes of rows decoded at a time."""

NOT_TEXT = "bytes that are not UTF-8"


class _NotText:
    """Placeholder for a text that is not UTF-8."""


_NOT_TEXT = _NotText()


def names_of(path: Path) -> list[str]:
    """Return the names of the columns."""
    return list(pq.read_schema(path).names)


def rows(path: Path, texts: Collection[str]) -> Iterator[list[tuple[int, dict[str, Any] | str]]]:
    """Yield batches of rows: the number (from 1), and the values by column or an error message.

    Columns of bytes are omitted, except `texts`, which are decoded as UTF-8.
    """
    with pq.ParquetFile(path) as file:
        fields = [field for field in file.schema_arrow if field.name in texts or not _is_bytes(field.type)]
        names = [field.name for field in fields]
        number = 0
        for group in range(file.num_row_groups):
            size = batch_rows(file.metadata.row_group(group), names, HELD, ROWS)
            for batch in file.iter_batches(size, row_groups=[group], columns=names):
                yield _numbered(batch, number)
                number += batch.num_rows


def arrow_rows(path: Path, texts: Collection[str]) -> Iterator[list[tuple[int, dict[str, Any] | str]]]:
    """Yield batches of rows of an Arrow file or stream, like `rows`."""
    with pa.memory_map(str(path)) as source:
        stream = source.read(6) != b"ARROW1"
        source.seek(0)
        opened = pa.ipc.open_stream(source) if stream else pa.ipc.open_file(source)
        with opened:
            names = [
                field.name for field in opened.schema if field.name in texts or not _is_bytes(field.type)
            ]
            number = 0
            batches = opened if stream else map(opened.get_batch, range(opened.num_record_batches))
            for batch in batches:
                for start in range(0, batch.num_rows, ROWS):
                    part = batch.select(names).slice(start, ROWS)
                    yield _numbered(part, number)
                    number += part.num_rows


def _numbered(batch: pa.RecordBatch, before: int) -> list[tuple[int, dict[str, Any] | str]]:
    """The rows of a batch with their numbers; `before` rows came before it."""
    names, values = batch.schema.names, [_values(column) for column in batch.columns]
    found: list[tuple[int, dict[str, Any] | str]] = []
    for at in range(batch.num_rows):
        row = {name: column[at] for name, column in zip(names, values, strict=True)}
        found.append((before + at + 1, NOT_TEXT if _NOT_TEXT in row.values() else row))
    return found


def _is_bytes(kind: pa.DataType) -> bool:
    """Return whether a column contains bytes (payloads, digests), which metadata cannot represent."""
    if types.is_dictionary(kind):
        return _is_bytes(kind.value_type)
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def _values(column: pa.Array) -> list[Any]:
    """Return the values of a column; None for NaN, infinity and times after 9999; times in microseconds."""
    kind = column.type
    if types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if (coarse := _microseconds(kind)) != kind:
        column = column.cast(coarse, safe=False)
    try:
        values = column.to_pylist()
    except (UnicodeDecodeError, OverflowError, ValueError, KeyError):  # KeyError: an unknown time zone
        values = [_value(cell) for cell in column]
    if types.is_nested(kind) or types.is_floating(kind):
        return [_finite(value) for value in values]
    if _is_bytes(kind):
        return [_text(value) for value in values]
    return list(values)


def _value(cell: pa.Scalar) -> Any:
    try:
        return cell.as_py()
    except UnicodeDecodeError:
        return _NOT_TEXT
    except (OverflowError, ValueError, KeyError):
        return None


def _text(value: bytes | None) -> Any:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return _NOT_TEXT


def _microseconds(kind: pa.DataType) -> pa.DataType:
    """Return a type with times in microseconds instead of nanoseconds, which Python cannot represent."""
    if types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if types.is_time64(kind) and kind.unit == "ns":
        return pa.time64("us")
    if types.is_struct(kind):
        return pa.struct([field.with_type(_microseconds(field.type)) for field in kind])
    if types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_microseconds(kind.value_type)))
    if types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_microseconds(kind.value_type)))
    return kind


def _finite(value: Any) -> Any:
    """Return a value with None in place of NaN and infinity, which JSON cannot represent."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value
