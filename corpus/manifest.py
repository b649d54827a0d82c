"""The manifest of a corpus as a file: a row per sample, in order, with its shard and its texts."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from .files import HashingFile

MANIFEST_FIELDS = {
    "key": "key",
    "id": "item_id",
    "source": "source",
    "category": "category",
    "caption": "caption",
    "conversations": "conversations",
    "language": "language",
    "license": "license",
    "uri": "uri",
    "locator": "locator",
    "width": "width",
    "height": "height",
    "sha256": "sha256",
    "repeat": "repeat",
}
"""Fields of a record that the manifest holds, and the columns in which it holds them."""


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A finished manifest, perhaps still under a temporary name."""

    path: Path
    bytes: int
    sha256: str


class ManifestWriter:
    """Writes the manifest's rows to `path` as plans of shards come by.

    Columns: `corpus`, `position`, `shard`, then those of MANIFEST_FIELDS; `category` is a path here.
    """

    def __init__(self, path: Path, corpus: str) -> None:
        self._path, self._corpus = path, corpus
        self._file = io.FileIO(path, "w")
        self._sink = HashingFile(self._file)
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> ManifestWriter:
        return self

    def add(self, plan: pa.Table, shard: int) -> None:
        """Append the samples of a shard."""
        rows = {
            "corpus": pa.array([self._corpus] * plan.num_rows, pa.string()),
            "position": plan.column("position"),
            "shard": pa.array([shard] * plan.num_rows, pa.int32()),
        } | {column: plan.column(column) for column in MANIFEST_FIELDS.values()}
        table = pa.table(rows)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._sink, table.schema, compression="zstd")
        self._writer.write_table(table)

    def close(self) -> ManifestFile:
        """Finish the file and make it durable."""
        if self._writer is not None:
            self._writer.close()
        self._sink.make_durable()
        self._sink.close()
        self._file.close()
        return ManifestFile(self._path, self._sink.size, self._sink.sha256)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._file.closed:
            if self._writer is not None:
                self._writer.close()
            self._sink.close()
            self._file.close()
