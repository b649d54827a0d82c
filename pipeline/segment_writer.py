"""Writes one segment: a tar of samples and a Parquet file of rows, complete before anybody sees them."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ..catalog.models import now
from ..catalog.segment_files import describe
from ..core.durable import creating, writing
from ..core.tar import BLOCK, END_OF_ARCHIVE, header, padding


@dataclass(frozen=True, slots=True)
class WrittenSegment:
    """Finished files under their temporary names; the coordinator gives them their number."""

    source: str
    rows: Path
    tar: Path | None
    items: int
    statuses: dict[str, int]
    payload_bytes: int


SYNC_BYTES = 8 * 1024**2
"""Bytes after which the tar is brought to the disk in the background."""

HELD_BYTES = 1024**2
"""Bytes that are handed to the system at a time; each handing over lets another thread go first."""
HELD_PARTS = 1000
"""Parts of which they may consist; Linux takes 1,024 (IOV_MAX)."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class SegmentWriter:
    """Collects outcomes; `close` makes them durable. Nothing is left behind by `abandon`.

    What cannot be written is a DiskError.
    """

    def __init__(self, folder: Path, *, source: str, kind: str, run: str, schema: pa.Schema) -> None:
        self._source, self._kind, self._run, self._schema = source, kind, run, schema
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        stem = _unfinished(run)
        self._tar_path, self._rows_path = folder / f"{stem}.tar.tmp", folder / f"{stem}.parquet.tmp"
        self._tar: FileIO | None = None
        self._rows: list[Mapping[str, Any]] = []
        self._statuses: dict[str, int] = {}
        self._size = self._synced = 0
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._sync: threading.Thread | None = None
        self._unsynced: OSError | None = None
        self._payload_bytes = 0
        self.items = 0
        self.opened = time.monotonic()

    @property
    def size(self) -> int:
        """Bytes in the tar so far."""
        return self._size

    def add_sample(
        self, row: Mapping[str, Any], data: bytes, extension: str, sidecar: Mapping[str, Any]
    ) -> None:
        """Write a sample's image and sidecar and its row; fills the row's place (`offset`, `length`)."""
        if self._tar is None:
            with writing(self._tar_path.parent):
                self._tar = self._tar_path.open("wb", buffering=0)
        key = row["item_id"]
        text = _ENCODER.encode(sidecar).encode()
        offset = self._size + BLOCK
        self._append(
            header(f"{key}.{extension}", len(data)),
            data,
            padding(len(data)),
            header(f"{key}.json", len(text)),
            text,
            padding(len(text)),
        )
        self._payload_bytes += len(data)
        self.add_row({**row, "offset": offset, "length": len(data)})

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Record one outcome; `row` has every column of the schema."""
        self._rows.append(row)
        status = row["status"]
        self._statuses[status] = self._statuses.get(status, 0) + 1
        self.items += 1

    def close(self) -> WrittenSegment:
        """Flush and fsync both files; if that fails, neither is left."""
        try:
            return self._close()
        except BaseException:
            self.abandon()
            raise

    def _close(self) -> WrittenSegment:
        if self._tar is not None:
            self._append(END_OF_ARCHIVE)
            self._write()
            self._settle_sync()
            with writing(self._tar_path.parent):
                if self._unsynced is not None:  # the system tells of lost bytes once, to whoever asks first
                    raise self._unsynced
                os.fsync(self._tar.fileno())
                self._tar.close()
        facts = describe(
            source=self._source, kind=self._kind, run=self._run, tar_bytes=self._size, written_at=now()
        )
        columns = [[row[name] for row in self._rows] for name in self._schema.names]
        table = pa.table(columns, schema=self._schema).replace_schema_metadata(facts)
        with creating(self._rows_path) as file:
            write_parquet(table, file)
        return WrittenSegment(
            source=self._source,
            rows=self._rows_path,
            tar=self._tar_path if self._tar is not None else None,
            items=self.items,
            statuses=self._statuses,
            payload_bytes=self._payload_bytes,
        )

    def abandon(self) -> None:
        """Remove what was written."""
        if self._tar is not None:
            self._settle_sync()
            self._tar.close()
        self._tar_path.unlink(missing_ok=True)
        self._rows_path.unlink(missing_ok=True)

    def _append(self, *parts: bytes) -> None:
        """Append to the tar."""
        self._held += parts
        size = sum(map(len, parts))
        self._held_bytes += size
        self._size += size
        if self._held_bytes >= HELD_BYTES or len(self._held) >= HELD_PARTS:
            self._write()

    def _write(self) -> None:
        """Write what is held. It is brought to the disk beside, so that `close` waits little."""
        assert self._tar is not None
        with writing(self._tar_path.parent):
            done = os.writev(self._tar.fileno(), self._held)
            if done != self._held_bytes:  # the next byte finds room, or says why there is none
                rest = memoryview(b"".join(self._held))[done:]
                while rest:
                    rest = rest[os.write(self._tar.fileno(), rest) :]
        self._held.clear()
        self._held_bytes = 0
        if self._size - self._synced >= SYNC_BYTES and (self._sync is None or not self._sync.is_alive()):
            self._synced = self._size
            self._sync = threading.Thread(target=self._bring_to_disk, args=(self._tar.fileno(),))
            self._sync.start()

    def _bring_to_disk(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError as error:
            self._unsynced = error

    def _settle_sync(self) -> None:
        if self._sync is not None:
            self._sync.join()


def write_rows(folder: Path, rows: pa.Table, *, source: str, kind: str, run: str) -> WrittenSegment:
    """Write a segment of rows without samples, durably; `rows` has the schema of segments."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_unfinished(run)}.parquet.tmp"
    facts = describe(source=source, kind=kind, run=run, tar_bytes=0, written_at=now())
    with creating(path) as file:
        write_parquet(rows.replace_schema_metadata(facts), file)
    return WrittenSegment(
        source=source,
        rows=path,
        tar=None,
        items=rows.num_rows,
        statuses=dict(Counter(rows.column("status").to_pylist())),
        payload_bytes=0,
    )


def _unfinished(run: str) -> str:
    """The stem of the files of a segment that has no number yet."""
    return f".{run}-{secrets.token_hex(6)}"


def write_parquet(table: pa.Table, file: BinaryIO) -> None:
    """Write rows as segments hold them."""
    pq.write_table(table, file, compression="zstd")
