"""Reads Parquet and Arrow files: rows without images for listings, images of selected rows for reading."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from ...core.parquet_batches import batch_rows
from .image_columns import LIST, Kind, Leaf, is_bytes

READ_BYTES = 16 * 2**20
"""Approximate bytes of images in memory."""

READ_BUFFER = 2**20
"""Bytes per read of a Parquet column on disk."""

MAPPED_BYTES = 2**30
"""Maximum size of a memory-mapped Arrow file: workers have an address space of a few GiB."""

LISTED_ROWS = 4096
"""Maximum rows of a listing in memory."""


class Row(NamedTuple):
    """A listed row: `number` counts in the file, `place` in its group; images have no bytes."""

    number: int
    group: int
    place: int
    values: dict[str, Any]


class ColumnarFile(ABC):
    """A file with groups of rows that can be read separately."""

    schema: pa.Schema
    divisible = True
    """Whether a group can be read without the preceding groups."""

    @abstractmethod
    def rows(self, images: Sequence[Leaf]) -> Iterator[Row]:
        """Yield all rows; of `images`, only their presence is read."""

    @abstractmethod
    def chosen(
        self, group: int, places: Sequence[int], columns: Sequence[str]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the rows of a group at `places` (ascending), with only `columns`, including bytes."""

    @abstractmethod
    def close(self) -> None:
        """Close the file."""


class ParquetRows(ColumnarFile):
    """A Parquet file; its groups are row groups."""

    def __init__(self, file: Path | IO[bytes]) -> None:
        self._stream = None if isinstance(file, Path) else file
        # A local column is read page by page, for any size of row group; remote ranges are
        # gathered before decoding.
        self._file = (
            pq.ParquetFile(file, buffer_size=READ_BUFFER)
            if isinstance(file, Path)
            else pq.ParquetFile(file, pre_buffer=True)
        )
        self.schema = self._file.schema_arrow

    def rows(self, images: Sequence[Leaf]) -> Iterator[Row]:
        """Yield rows of the small columns in one pass, without reading other columns."""
        columns, unseen = self._without_bytes(images)
        number = 0
        for group in range(self._file.num_row_groups):
            place = 0
            for batch in self._batches(group, columns):
                for values in batch:
                    for leaf in unseen:
                        _assume(values, leaf.steps)
                    yield Row(number, group, place, values)
                    number, place = number + 1, place + 1

    def chosen(
        self, group: int, places: Sequence[int], columns: Sequence[str]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield rows of one row group, decoded in small batches up to the last requested row."""
        if group >= self._file.num_row_groups:
            return
        size = batch_rows(self._file.metadata.row_group(group), columns, READ_BYTES, LISTED_ROWS)
        first, wanted = 0, 0
        for batch in self._file.iter_batches(size, row_groups=[group], columns=list(columns)):
            row = _reader(batch)
            while wanted < len(places) and places[wanted] < first + batch.num_rows:
                yield places[wanted], row(places[wanted] - first)
                wanted += 1
            if wanted == len(places):
                return
            first += batch.num_rows

    def close(self) -> None:
        """Close the file and its underlying stream."""
        self._file.close()
        if self._stream is not None:
            self._stream.close()

    def _batches(self, group: int, columns: list[str]) -> Iterator[list[dict[str, Any]]]:
        if columns:
            tops = {path.partition(".")[0] for path in columns}
            size = batch_rows(self._file.metadata.row_group(group), tops, READ_BYTES, LISTED_ROWS)
            for batch in self._file.iter_batches(size, row_groups=[group], columns=columns):
                yield batch.to_pylist()
        else:
            yield [{} for _ in range(self._file.metadata.row_group(group).num_rows)]

    def _without_bytes(self, images: Sequence[Leaf]) -> tuple[list[str], list[Leaf]]:
        """Return the Parquet columns to list (all except bytes), and images without a listed column.

        A list that contains only bytes must be read itself to count its images.
        """
        steps = [path for field in self.schema for path in _leaf_paths(field.type, (field.name,))]
        columns = [self._file.schema.column(at).path for at in range(len(self._file.schema))]
        light = [path for path, kind in steps if not is_bytes(kind)]
        silent = [leaf for leaf in images if not any(path[: len(leaf.steps)] == leaf.steps for path in light)]
        needed = [leaf.steps for leaf in silent if leaf.listed]
        kept = [
            column
            for column, (path, kind) in zip(columns, steps, strict=True)
            if not is_bytes(kind) or any(path[: len(leaf)] == leaf for leaf in needed)
        ]
        return kept, [leaf for leaf in silent if not leaf.listed]


class ArrowRows(ColumnarFile):
    """An Arrow IPC file or stream (what `datasets` writes); its groups are record batches."""

    def __init__(self, file: Path | IO[bytes]) -> None:
        mapped = isinstance(file, Path) and file.stat().st_size <= MAPPED_BYTES
        if isinstance(file, Path):
            self._source = pa.memory_map(str(file)) if mapped else pa.OSFile(str(file))
        else:
            self._source = pa.PythonFile(file)
        magic = self._source.read(6)
        self._source.seek(0)
        self._file = pa.ipc.open_file(self._source) if magic == b"ARROW1" else None
        self._stream: Any = None
        self._next = 0
        self.divisible = mapped or self._file is not None
        self.schema = self._open().schema

    def rows(self, images: Sequence[Leaf]) -> Iterator[Row]:
        """Yield rows without copying the bytes of images (free for a memory-mapped file)."""
        bare = {leaf.steps for leaf in images if leaf.kind is Kind.BYTES}
        number = group = 0
        while (batch := self._batch(group)) is not None:
            parts = [
                (field.name, _thin(column, (field.name,), bare))
                for field, column in zip(batch.schema, batch.columns, strict=True)
            ]
            small = pa.table({name: part for name, part in parts if part is not None})
            listed = small.to_pylist() if small.num_columns else [{} for _ in range(batch.num_rows)]
            for place, values in enumerate(listed):
                yield Row(number, group, place, values)
                number += 1
            group += 1

    def chosen(
        self, group: int, places: Sequence[int], columns: Sequence[str]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield rows of one record batch; preceding batches are skipped."""
        batch = self._batch(group)
        if batch is None:
            return
        row = _reader(batch.select([name for name in columns if name in batch.schema.names]))
        for place in places:
            if place < batch.num_rows:
                yield place, row(place)

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def _open(self) -> Any:
        if self._file is not None:
            return self._file
        self._source.seek(0)
        self._stream, self._next = pa.ipc.open_stream(self._source), 0
        return self._stream

    def _batch(self, group: int) -> pa.RecordBatch | None:
        """Return the record batch with this number, None after the last; sequential access is fast."""
        if self._file is not None:
            return self._file.get_batch(group) if group < self._file.num_record_batches else None
        if group < self._next:
            self._open()
        while True:
            try:
                batch = self._stream.read_next_batch()
            except StopIteration:
                return None
            self._next += 1
            if self._next > group:
                return batch


def _reader(values: pa.RecordBatch | pa.StructArray) -> Callable[[int], dict[str, Any]]:
    """Return a function that reads a row by fields, in a third of the time of reading a struct value."""
    fields = values.schema if isinstance(values, pa.RecordBatch) else values.type
    columns = values.columns if isinstance(values, pa.RecordBatch) else values.flatten()
    cells = [(field.name, _cell(column)) for field, column in zip(fields, columns, strict=True)]
    return lambda place: {name: cell(place) for name, cell in cells}


def _cell(column: pa.Array) -> Callable[[int], Any]:
    if types.is_struct(column.type) and not column.null_count:
        return _reader(column)
    return lambda place: column[place].as_py()


def _leaf_paths(
    kind: pa.DataType, steps: tuple[str | None, ...]
) -> Iterator[tuple[tuple[str | None, ...], pa.DataType]]:
    """Yield the Parquet columns of a type in Parquet's order, each with its steps and type."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if types.is_struct(kind):
        for field in kind:
            yield from _leaf_paths(field.type, (*steps, field.name))
    elif types.is_map(kind):
        yield from _leaf_paths(kind.key_type, (*steps, LIST, "key"))
        yield from _leaf_paths(kind.item_type, (*steps, LIST, "value"))
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        yield from _leaf_paths(kind.value_type, (*steps, LIST))
    else:
        yield steps, kind


def _assume(values: dict[str, Any], steps: Sequence[str | None]) -> None:
    """Set a mark in place of an assumed image; a missing image is detected on reading."""
    for step in steps[:-1]:
        values = values.setdefault(str(step), {})
        if values is None:
            return
    values[str(steps[-1])] = True


def _thin(
    array: pa.Array, steps: tuple[str | None, ...], bare: set[tuple[str | None, ...]]
) -> pa.Array | None:
    """Return `array` without bytes, and without copying them; None if the result is empty.

    Bytes that are images themselves (`bare`) become True, missing bytes become null.
    """
    kind = array.type
    if is_bytes(kind):
        return pc.if_else(array.is_valid(), True, None) if steps in bare else None
    if types.is_struct(kind):
        inner = [
            (field.name, _thin(array.field(at), (*steps, field.name), bare)) for at, field in enumerate(kind)
        ]
        kept = {name: part for name, part in inner if part is not None}
        # Keep whether the struct exists, even without fields.
        kept = kept or {"path": pa.nulls(len(array))}
        return pa.StructArray.from_arrays(list(kept.values()), names=list(kept), mask=array.is_null())
    if types.is_list(kind) or types.is_large_list(kind):
        thin = _thin(array.values, (*steps, LIST), bare)
        if thin is None:
            return None
        maker = pa.ListArray if types.is_list(kind) else pa.LargeListArray
        return maker.from_arrays(array.offsets, thin, mask=array.is_null())
    return array
