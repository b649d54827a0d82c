"""Scans the files of all corpora: every byte of a shard is read and hashed, whatever the catalog has."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..catalog.audit import ShardScan
from ..catalog.models import images_sha256
from ..catalog.store_scan import store_files
from ..core.masking import MASK
from ..core.tar import BLOCK
from ..core.temporary import TemporaryFolder
from ..core.workers import map_in_workers
from ..core.workspace import Workspace
from .files import hash_file
from .layout import EXTENSIONS, corpora, parse_key
from .manifest import MANIFEST_COLUMNS
from .record import CAPTIONS, FIELDS

if TYPE_CHECKING:
    from typing_extensions import Buffer

SAMPLES = pa.schema(
    [
        ("corpus", pa.string()),
        ("shard", pa.int32()),
        ("key", pa.string()),
        ("item_id", pa.string()),  # null: no build writes such a key
        ("repeat", pa.int32()),
        ("images", pa.int32()),  # the number of images in the shard
        ("bytes", pa.int64()),  # of all images
        ("sha256", pa.string()),  # of the images in the shard, as in the catalog; null: no image
        ("record_source", pa.string()),
        ("record_category", pa.string()),
        ("record_license", pa.string()),
        ("record_sha256", pa.string()),
        ("record_texts", pa.string()),  # hashes of several fields, see `_hashes`
        ("record_origin", pa.string()),
        ("record_uri", pa.string()),  # null: with a masked secret
        ("record_meta", pa.string()),
        ("record_width", pa.int64()),
        ("record_height", pa.int64()),
    ]
)
FILES = pa.schema(
    [
        ("corpus", pa.string()),
        ("shard", pa.int32()),
        ("path", pa.string()),
        ("samples", pa.int64()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("error", pa.string()),  # null: read to its end
    ]
)
OTHERS = pa.schema(
    [
        ("corpus", pa.string()),
        ("path", pa.string()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),  # null: not a file that a build writes
    ]
)

_INLINE = 64_000_000
"""Bytes of shards below which starting processes costs more than it gives."""
_BATCH = 10_000

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Shard:
    workspace: Workspace
    corpus: str
    number: int
    path: Path


class BrokenShard(Exception):
    """A shard that cannot be read on."""


def scan_shards(
    workspace: Workspace,
    purge_residue: pa.Table,
    workers: int | None = None,
    damaged_images: pa.Table | None = None,
) -> ShardScan:
    """Read all shards in the workspace's corpora, with `workers` processes (default: one per core).

    `purge_residue` lists residue of purged items (`pipeline.purge.purge_residue`), `damaged_images` damage in
    the store (`catalog.image_scan`); None if the images there were not read. A shard that cannot be read to
    its end is listed with the error, and with the samples before it.
    """
    shards = [
        _Shard(workspace, folder.name, number, path)
        for folder in corpora(workspace)
        for number, path in folder.shards()
    ]
    holder = TemporaryFolder("audit")
    small = sum(shard.path.stat().st_size for shard in shards) < _INLINE
    work = partial(_read_shard, folder=holder.path)
    rows = list(map_in_workers(work, shards, 1 if small else workers or os.cpu_count() or 1))
    store = store_files(workspace)
    readable = {
        row["segment"]: workspace.segment_rows(row["segment"])
        for row in store.to_pylist()
        if row["row_count"] is not None
    }
    nothing = holder.path / "nothing"
    pq.write_table(SAMPLES.empty_table(), nothing)
    return ShardScan(
        shard_samples=[nothing, *sorted(holder.path.glob("*.samples"))],
        shard_files=pa.Table.from_pylist(rows, schema=FILES),
        other_files=pa.Table.from_pylist(list(_other_files(workspace)), schema=OTHERS),
        store_files=store,
        segments=readable,
        damaged_images=damaged_images,
        purge_residue=purge_residue,
        manifest_files=[folder.manifest for folder in corpora(workspace) if _is_readable(folder.manifest)],
        holder=holder,
    )


def _other_files(workspace: Workspace) -> Iterator[Row]:
    """The files in the folders of corpora that are not shards, those in folders below included."""
    for folder in corpora(workspace):
        shards = {path for _, path in folder.shards()}
        described = {folder.manifest, folder.stats, folder.card, folder.croissant}
        for path in sorted(folder.root.rglob("*")):
            if path.is_file() and path not in shards:
                yield {
                    "corpus": folder.name,
                    "path": path.relative_to(workspace.root).as_posix(),
                    "bytes": path.stat().st_size,
                    "sha256": hash_file(path) if path in described else None,
                }


def _is_readable(manifest: Path) -> bool:
    """Whether a manifest file has the columns that a build writes."""
    try:
        return set(pq.read_schema(manifest).names) >= MANIFEST_COLUMNS
    except (OSError, pa.ArrowException):
        return False


def _read_shard(shard: _Shard, folder: Path) -> Row:
    """List a shard's samples in a file in `folder`; returns its row of FILES."""
    digest = hashlib.sha256()
    size = samples = 0
    error: str | None = None
    with shard.path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    reader = _tar_samples if shard.path.suffix == ".tar" else _parquet_samples
    target = folder / f"{shard.corpus}-{shard.path.name}.samples"
    with pq.ParquetWriter(target, SAMPLES, compression="zstd") as writer:
        found = _Batches(writer, shard)
        try:
            for row in reader(shard.path):
                found.add(row)
                samples += 1
        except (BrokenShard, OSError, ValueError, KeyError, pa.ArrowException) as broken:
            error = str(broken)
        found.flush()
    return {
        "corpus": shard.corpus,
        "shard": shard.number,
        "path": shard.path.relative_to(shard.workspace.root).as_posix(),
        "samples": samples,
        "bytes": size,
        "sha256": digest.hexdigest(),
        "error": error,
    }


@dataclass(slots=True)
class _Batches:
    """Rows of SAMPLES on their way to a file, some thousand at a time."""

    writer: pq.ParquetWriter
    shard: _Shard
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        item_id, repeat = parse_key(row["key"]) or (None, 0)
        place = {"corpus": self.shard.corpus, "shard": self.shard.number}
        self.rows.append(place | row | {"item_id": item_id, "repeat": repeat})
        if len(self.rows) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        if self.rows:
            self.writer.write_table(pa.Table.from_pylist(self.rows, schema=SAMPLES))
            self.rows.clear()


def _tar_samples(path: Path) -> Iterator[Row]:
    """The samples of a tar, in order: members that share a key are one."""
    key, row, images, suffixes = None, Row(), _Images(), set[str]()
    for name, content in members(path):
        stem, _, suffix = name.partition(".")
        if stem != key or suffix in suffixes:  # a second member of one name is a second sample
            if key is not None:
                yield row | images.columns()
            key, row, images, suffixes = stem, {"key": stem}, _Images(), set()
        suffixes.add(suffix)
        if suffix == "json":
            row |= _parse_record(json.loads(bytes(content)))
        elif not images.add(suffix, content):
            raise BrokenShard(f"a member that no build writes: {name!r}")
    if key is not None:
        yield row | images.columns()


class _Images:
    """The images of one sample."""

    def __init__(self) -> None:
        self._digests: list[str] = []
        self._bytes = 0

    def add(self, suffix: str, content: Buffer) -> bool:
        """Add the member `<key>.<suffix>`; False unless it is an image, and the next one in order."""
        number, dot, extension = suffix.rpartition(".")
        if extension not in EXTENSIONS.values() or number != (str(len(self._digests)) if dot else ""):
            return False
        self.append(content)
        return True

    def append(self, content: Buffer) -> None:
        """Add the next image."""
        self._digests.append(hashlib.sha256(content).hexdigest())
        self._bytes += memoryview(content).nbytes

    def columns(self) -> Row:
        """The columns of SAMPLES about images."""
        digest = images_sha256(self._digests) if self._digests else None
        return {"images": len(self._digests), "bytes": self._bytes, "sha256": digest}


def members(path: Path) -> Iterator[tuple[str, memoryview]]:
    """Name and content of each member of a plain ustar file; BrokenShard if it is not one."""
    size = path.stat().st_size
    if size == 0:
        raise BrokenShard("an empty file")
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        memoryview(data) as view,
    ):
        place = 0
        while place + BLOCK <= size:
            head = bytes(view[place : place + BLOCK])
            if head == bytes(BLOCK):
                return
            name, length = _header(head, place)
            start, place = place + BLOCK, place + BLOCK + length + -length % BLOCK
            if place > size:
                raise BrokenShard(f"it ends within {name}")
            with view[start : start + length] as content:
                yield name, content
    raise BrokenShard("it has no end")


def _header(head: bytes, place: int) -> tuple[str, int]:
    stated = head[148:156].rstrip(b" \0")
    summed = sum(head) - sum(head[148:156]) + 8 * ord(" ")
    if head[257:262] != b"ustar" or not stated or int(stated, 8) != summed or head[156:157] != b"0":
        raise BrokenShard(f"no plain member at byte {place:,}")
    return head[:100].rstrip(b"\0").decode("ascii"), int(head[124:136].rstrip(b" \0"), 8)


def _parquet_samples(path: Path) -> Iterator[Row]:
    """The samples of a Parquet shard, in order, a row group at a time."""
    with pq.ParquetFile(path) as file:
        image = "images" if "images" in file.schema_arrow.names else "image"
        columns = [*FIELDS, *(name for name in CAPTIONS if name in file.schema_arrow.names)]
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, [image, *columns])
            contents = (value for chunk in table.column(image).chunks for value in chunk)
            for content, record in zip(contents, table.drop_columns(image).to_pylist(), strict=True):
                images = _Images()
                for part in content.values if image == "images" else [content]:
                    data = part["bytes"].as_buffer() if part.is_valid else None
                    if data is not None:
                        images.append(data)
                yield {"key": record["key"]} | _parse_record(record) | images.columns()


def _parse_record(record: Row) -> Row:
    """The fields of a record that audits compare; BrokenShard if no build writes such a record."""
    try:
        return {
            "record_source": record["source"],
            "record_category": "/".join(record["category"]),
            "record_license": record["license"],
            "record_sha256": record["sha256"],
            "record_width": record["width"],
            "record_height": record["height"],
        } | _hashes(record)
    except (KeyError, TypeError) as error:
        raise BrokenShard(f"a record that no build writes: {error}") from error


def _hashes(record: Row) -> Row:
    """Hashes of a record's other fields, as in `sql/audit/record_fields_differ.sql`.

    A list of captions that only repeats the caption counts as empty, as in the catalog.
    """
    caption, captions = record["caption"], record.get("captions", [])
    turns = (turn["role"] + "\x1e" + turn["content"] for turn in record["conversations"])
    several = [] if captions in ([], [caption]) else captions
    texts = caption, record["language"], "\x1d".join(turns), "\x1d".join(several)
    names = "key", "id", "repeat", "parent_id", "locator", "original_sha256"
    uri = record["uri"]
    return {
        "record_texts": _hash("\x1f".join(texts)),
        "record_origin": _hash("\x1f".join(str(record[name]) for name in names)),
        "record_uri": None if MASK in uri else _hash(uri),
        "record_meta": _hash(record["meta"]),
    }


def _hash(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:16]
