"""The manifest of a corpus as a file: a row per sample, in order, with its shard and its texts."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from .files import HashingFile
from .layout import Shape

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


def manifest_columns(shape: Shape) -> dict[str, str]:
    """Fields and columns of a corpus's manifest: MANIFEST_FIELDS, `captions`, and the count of `images`."""
    captions = {"captions": "captions"} if shape.captions else {}
    return MANIFEST_FIELDS | captions | ({"images": "images"} if shape.several else {})


MANIFEST_COLUMNS = frozenset({"corpus", "position", "shard", "bytes", *MANIFEST_FIELDS.values()})
"""The columns of every manifest file; `bytes` is the size of all images, and `category` is a path."""


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A finished manifest, perhaps still under a temporary name."""

    path: Path
    bytes: int
    sha256: str


class ManifestWriter:
    """Writes the manifest's rows to `path` as plans of shards come by.

    Columns: MANIFEST_COLUMNS, and those that `manifest_columns` adds.
    """

    def __init__(self, path: Path, corpus: str, shape: Shape) -> None:
        self._path, self._corpus = path, corpus
        self._columns = manifest_columns(shape).values()
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
            "bytes": plan.column("bytes"),
        } | {column: plan.column(column) for column in self._columns}
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
