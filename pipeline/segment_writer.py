"""Writes one segment: a tar of images and a Parquet file of rows, complete before anything reads them."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ..catalog.item_rows import to_table
from ..catalog.models import Item, MoreImage, now
from ..catalog.segment_files import describe
from ..catalog.status import Status
from ..core.durable import creating, writing
from ..core.masking import mask
from ..core.progress import REJECTIONS
from ..core.tar import BLOCK, END_OF_ARCHIVE, header, padding


@dataclass(frozen=True, slots=True)
class WrittenSegment:
    """Complete files under temporary names; the coordinator assigns the number."""

    source: str
    rows: Path
    tar: Path | None
    items: int
    statuses: dict[str, int]
    payload_bytes: int
    rejections: tuple[str, ...] = ()
    """The last rejected items with their reasons, for the progress."""


SYNC_BYTES = 8 * 1024**2
"""Bytes after which a background thread flushes the tar to the disk."""

WRITE_BYTES = 1024**2
"""Bytes per system call; each call releases the interpreter's lock."""
WRITE_PARTS = 1000
"""Parts per system call; Linux takes 1,024 (IOV_MAX)."""


REJECTION_TEXT = 200
"""Characters of an address, its last ones, in the report of a rejected item."""


class SegmentWriter:
    """Collects outcomes; `close` makes them durable, `abandon` removes them.

    Methods raise DiskError for a failed write.
    """

    def __init__(self, folder: Path, *, source: str, kind: str, run: str, schema: pa.Schema) -> None:
        self._source, self._kind, self._run, self._schema = source, kind, run, schema
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        stem = _unfinished(run)
        self._tar_path, self._rows_path = folder / f"{stem}.tar.tmp", folder / f"{stem}.parquet.tmp"
        self._tar: FileIO | None = None
        self._items: list[Item] = []
        self._statuses: dict[str, int] = {}
        self._rejections: deque[str] = deque(maxlen=REJECTIONS)
        self._size = self._synced = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._sync: threading.Thread | None = None
        self._sync_error: OSError | None = None
        self._payload_bytes = 0
        self._stored: dict[str | None, int] = {}
        """The places of the images by their hash."""
        self.opened = time.monotonic()

    @property
    def items(self) -> int:
        """Number of rows added."""
        return len(self._items)

    @property
    def size(self) -> int:
        """Bytes written to the tar."""
        return self._size

    def add_images(self, item: Item, images: Sequence[tuple[bytes, str]]) -> None:
        """Write an item's images (bytes and extension) and its row; sets the images' places in the item.

        The member of a single image is `<item_id>.<extension>`, those of several are
        `<item_id>.0.<extension>` and so on. Items with the same image share its first member.
        """
        if self._tar is None:
            with writing(self._tar_path.parent):
                self._tar = self._tar_path.open("wb", buffering=0)
        places: Sequence[Item | MoreImage] = (item, *(item.more_images or ()))
        for number, ((data, extension), place) in enumerate(zip(images, places, strict=True)):
            digest = (item.first_sha256 or item.sha256) if place is item else place.sha256
            place.offset, place.length = self._stored.get(digest, self._size + BLOCK), len(data)
            if digest in self._stored:
                continue
            self._stored[digest] = place.offset
            name = f"{item.item_id}.{number}" if len(images) > 1 else item.item_id
            self._append(header(f"{name}.{extension}", len(data)), data, padding(len(data)))
            self._payload_bytes += len(data)
        self.add(item)

    def add(self, item: Item) -> None:
        """Add an item; its row has the item's values at the time of `close`."""
        self._items.append(item)
        self._statuses[item.status] = self._statuses.get(item.status, 0) + 1
        if item.status == Status.REJECTED:
            address = mask(item.uri)[-REJECTION_TEXT:]
            self._rejections.append(f"{self._source}: {address} {item.locator}".rstrip() + f": {item.reason}")

    def close(self) -> WrittenSegment:
        """Flush both files to the disk; if that fails, neither is left."""
        try:
            return self._close()
        except BaseException:
            self.abandon()
            raise

    def _close(self) -> WrittenSegment:
        if self._tar is not None:
            self._append(END_OF_ARCHIVE)
            self._write()
            self._join_sync()
            with writing(self._tar_path.parent):
                if self._sync_error is not None:  # the kernel reports lost bytes only to the first fsync
                    raise self._sync_error
                os.fsync(self._tar.fileno())
                self._tar.close()
        facts = describe(
            source=self._source, kind=self._kind, run=self._run, tar_bytes=self._size, written_at=now()
        )
        table = to_table(self._items, self._schema).replace_schema_metadata(facts)
        with creating(self._rows_path) as file:
            write_parquet(table, file)
        return WrittenSegment(
            source=self._source,
            rows=self._rows_path,
            tar=self._tar_path if self._tar is not None else None,
            items=self.items,
            statuses=self._statuses,
            payload_bytes=self._payload_bytes,
            rejections=tuple(self._rejections),
        )

    def abandon(self) -> None:
        """Remove the incomplete files."""
        if self._tar is not None:
            self._join_sync()
            self._tar.close()
        self._tar_path.unlink(missing_ok=True)
        self._rows_path.unlink(missing_ok=True)

    def _append(self, *parts: bytes) -> None:
        """Append to the tar."""
        self._pending += parts
        size = sum(map(len, parts))
        self._pending_bytes += size
        self._size += size
        if self._pending_bytes >= WRITE_BYTES or len(self._pending) >= WRITE_PARTS:
            self._write()

    def _write(self) -> None:
        """Write the pending bytes; a thread flushes them to the disk, which shortens the wait in `close`."""
        assert self._tar is not None
        with writing(self._tar_path.parent):
            done = os.writev(self._tar.fileno(), self._pending)
            if done != self._pending_bytes:  # a second write completes the first or raises its error
                rest = memoryview(b"".join(self._pending))[done:]
                while rest:
                    rest = rest[os.write(self._tar.fileno(), rest) :]
        self._pending.clear()
        self._pending_bytes = 0
        if self._size - self._synced >= SYNC_BYTES and (self._sync is None or not self._sync.is_alive()):
            self._synced = self._size
            self._sync = threading.Thread(target=self._sync_in_background, args=(self._tar.fileno(),))
            self._sync.start()

    def _sync_in_background(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError as error:
            self._sync_error = error

    def _join_sync(self) -> None:
        if self._sync is not None:
            self._sync.join()


def write_rows(folder: Path, rows: pa.Table, *, source: str, kind: str, run: str) -> WrittenSegment:
    """Write a segment of rows without images, durably; `rows` has the schema of segments."""
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
    """The stem of the files of a segment without a number."""
    return f".{run}-{secrets.token_hex(6)}"


def write_parquet(table: pa.Table, file: BinaryIO) -> None:
    """Write rows with the compression of segments."""
    pq.write_table(table, file, compression="zstd")
