"""Removes withdrawn samples from a released corpus: all other samples keep their bytes and records.

A build would write the items as the catalog has them now. The shards of a released corpus are therefore
copied without the withdrawn samples, and its description is derived from its own manifest file. The manifest
file is replaced last, so that an interrupted removal is repeated in full.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..catalog.connection import read_catalog, transaction, write_catalog
from ..catalog.models import now
from ..catalog.queries import query
from ..core.durable import rename
from ..core.tar import END_OF_ARCHIVE, header, padding
from ..core.workspace import Workspace
from .build import BuildResult, Progress, record_files, record_shards
from .describe import DescribedFile, draw_facts, write_description
from .errors import UnreadableCorpus
from .files import HashingFile, hash_file, replace_shard
from .layout import CorpusFolder, parse_key
from .manifest import MANIFEST_COLUMNS
from .parquet_shard import shard_writer
from .shard import Shard
from .shard_scan import BrokenShard, members

Keys = set[str]


def released_copies(
    connection: duckdb.DuckDBPyConnection, workspace: Workspace, names: list[str]
) -> list[tuple[str, str]]:
    """(corpus, item_id) of samples in released corpora whose image is that of a withdrawn item.

    The item itself may have another image by now.
    """
    found: list[tuple[str, str]] = []
    for name in names:
        file = CorpusFolder(workspace, name).manifest
        if file.exists():
            values = {"corpus": name, "manifest": str(file)}
            found += connection.execute(query("corpus/released_copies"), values).fetchall()
    return found


def remove_from_released(workspace: Workspace, name: str, run: str, progress: Progress) -> BuildResult:
    """Remove the samples that the catalog's manifest lacks from the shards and files of a released corpus.

    The caller holds the workspace's lock. Raises UnreadableCorpus for files that no build wrote; where only
    the description is damaged, the samples are removed from the shards before.
    """
    folder = CorpusFolder(workspace, name)
    stats = _read_stats(folder)
    with read_catalog(workspace) as connection:
        [(fingerprint,)] = connection.execute(
            "SELECT fingerprint FROM manifests WHERE corpus = ?", [name]
        ).fetchall()
        if stats is None:
            facts, gone = _shards_in_catalog(connection, name), _gone_in_shards(connection, folder)
        else:
            facts, gone = stats["shards"], _gone_in_manifest(connection, folder)
    shards = []
    for shard in facts:
        keys = gone.get(shard["shard"], set())
        made = _rewritten(folder, shard, keys) if keys or stats is None else _kept(folder, shard)
        shards.append(made)
        progress(made.samples, made.bytes)
    files = _describe_again(folder, stats, gone, shards, run) if gone and stats is not None else []
    with write_catalog(workspace) as connection, transaction(connection):
        record_shards(connection, workspace, name, fingerprint, shards)
        if stats is not None:
            record_files(connection, workspace, name, files or _described_files(folder))
    if stats is None:
        raise UnreadableCorpus(
            folder.stats, "withdrawn samples are removed from the shards, but no description can be written"
        )
    return BuildResult(name, folder.root, tuple(shards))


def _describe_again(
    folder: CorpusFolder, stats: dict[str, Any], gone: dict[int, Keys], shards: list[Shard], run: str
) -> list[DescribedFile]:
    """Write the description of a corpus without these samples, and its manifest file last."""
    folder.staging.mkdir(parents=True, exist_ok=True)
    temporary = folder.staging / "manifest.tmp"
    manifest = _filter_manifest(folder, temporary, {key for keys in gone.values() for key in keys})
    stats |= {
        "shards": [_facts(shard) for shard in shards],
        "manifest": {"file": folder.manifest.name, "bytes": manifest.bytes, "sha256": manifest.sha256},
        "build": {**stats["build"], "run": run},
    }
    with read_catalog(folder.workspace) as connection:
        stats |= draw_facts(connection, folder.name)
        _recount(connection, stats, temporary)
    files = write_description(folder, stats)
    rename(temporary, folder.manifest)
    return [manifest, *files]


def _described_files(folder: CorpusFolder) -> list[DescribedFile]:
    """The files of a corpus beside its shards, as they are."""
    paths = (folder.manifest, folder.card, folder.croissant, folder.stats)
    return [DescribedFile(path, path.stat().st_size, hash_file(path)) for path in paths if path.exists()]


def _read_stats(folder: CorpusFolder) -> dict[str, Any] | None:
    """The statistics of a corpus; None if they, or the manifest file, are not what a build writes."""
    try:
        stats: dict[str, Any] = json.loads(folder.stats.read_bytes())
        sections = {"shards", "build", "sources"} <= stats.keys()
        readable = set(pq.read_schema(folder.manifest).names) >= MANIFEST_COLUMNS
    except (OSError, ValueError, AttributeError, pa.ArrowException):
        return None
    return stats if sections and readable else None


def _gone_in_manifest(connection: duckdb.DuckDBPyConnection, folder: CorpusFolder) -> dict[int, Keys]:
    """The keys in the manifest file that the catalog's manifest lacks, by shard."""
    values = {"corpus": folder.name, "manifest": str(folder.manifest)}
    gone: dict[int, Keys] = {}
    for number, key in connection.execute(query("corpus/released_gone"), values).fetchall():
        gone.setdefault(number, set()).add(key)
    return gone


def _gone_in_shards(connection: duckdb.DuckDBPyConnection, folder: CorpusFolder) -> dict[int, Keys]:
    """The keys in the shards that the catalog's manifest lacks, by shard."""
    listed = set(
        connection.execute(
            "SELECT item_id, repeat FROM manifest_items WHERE corpus = ?", [folder.name]
        ).fetchall()
    )
    return {
        number: {key for key in _keys(path) if parse_key(key) not in listed}
        for number, path in folder.shards()
    }


def _keys(path: Path) -> Keys:
    """The keys of a shard's samples."""
    try:
        if path.suffix == ".tar":
            return {name.partition(".")[0] for name, _ in members(path)}
        return set(pq.read_table(path, columns=["key"]).column("key").to_pylist())
    except (BrokenShard, pa.ArrowException) as error:
        raise UnreadableCorpus(path, str(error)) from error


def _shards_in_catalog(connection: duckdb.DuckDBPyConnection, name: str) -> list[dict[str, Any]]:
    """The shards of a corpus by the columns that a rewritten shard keeps."""
    rows = connection.execute(
        "SELECT shard, path, first, last FROM shards WHERE corpus = ? ORDER BY shard", [name]
    ).fetchall()
    return [
        {"shard": number, "file": Path(path).name, "first": first, "last": last}
        for number, path, first, last in rows
    ]


def _kept(folder: CorpusFolder, facts: dict[str, Any]) -> Shard:
    return Shard(
        facts["shard"],
        folder.root / facts["file"],
        facts["first"],
        facts["last"],
        facts["samples"],
        facts["bytes"],
        facts["sha256"],
        datetime.fromisoformat(facts["built_at"]),
        rewritten=False,
    )


def _facts(shard: Shard) -> dict[str, Any]:
    return {
        "shard": shard.number,
        "file": shard.path.name,
        "first": shard.first,
        "last": shard.last,
        "samples": shard.samples,
        "bytes": shard.bytes,
        "sha256": shard.sha256,
        "built_at": shard.built_at.isoformat(),
    }


def _rewritten(folder: CorpusFolder, facts: dict[str, Any], keys: Keys) -> Shard:
    """The shard without the samples of these keys, under its name."""
    path = folder.root / facts["file"]
    folder.staging.mkdir(parents=True, exist_ok=True)
    temporary = folder.staging / f"{path.name}.tmp"
    copy = _copy_tar if path.suffix == ".tar" else _copy_parquet
    try:
        with io.FileIO(temporary, "w") as file, HashingFile(file) as sink:
            samples = copy(path, keys, sink)
            sink.make_durable()
    except (BrokenShard, pa.ArrowException, FileNotFoundError) as error:
        raise UnreadableCorpus(path, str(error)) from error
    replace_shard(temporary, path)
    return Shard(
        facts["shard"],
        path,
        facts["first"],
        facts["last"],
        samples,
        sink.size,
        sink.sha256,
        now(),
        rewritten=True,
    )


def _copy_tar(path: Path, keys: Keys, sink: HashingFile) -> int:
    kept: Keys = set()
    for name, content in members(path):
        key = name.partition(".")[0]
        if key not in keys:
            kept.add(key)
            for part in (header(name, len(content)), content, padding(len(content))):
                sink.write(part)
    sink.write(END_OF_ARCHIVE)
    return len(kept)


def _copy_parquet(path: Path, keys: Keys, sink: HashingFile) -> int:
    rows = 0
    with pq.ParquetFile(path) as file, shard_writer(sink, columns := file.schema_arrow) as writer:
        for group in range(file.num_row_groups):
            table = _without(file.read_row_group(group), keys)
            if table.num_rows:
                writer.write_table(table, row_group_size=table.num_rows)
            rows += table.num_rows
        if not rows:
            writer.write_table(columns.empty_table())
    return rows


def _without(table: pa.Table, keys: Keys) -> pa.Table:
    return table.filter(pc.invert(pc.is_in(table.column("key"), pa.array(sorted(keys), pa.string()))))


def _filter_manifest(folder: CorpusFolder, target: Path, keys: Keys) -> DescribedFile:
    """Copy the manifest file to `target` without the rows of these keys, a row group at a time."""
    with (
        pq.ParquetFile(folder.manifest) as file,
        io.FileIO(target, "w") as raw,
        HashingFile(raw) as sink,
    ):
        with pq.ParquetWriter(sink, file.schema_arrow, compression="zstd") as writer:
            for group in range(file.num_row_groups):
                writer.write_table(_without(file.read_row_group(group), keys))
        sink.make_durable()
    return DescribedFile(folder.manifest, sink.size, sink.sha256)


def _recount(connection: duckdb.DuckDBPyConnection, stats: dict[str, Any], manifest: Path) -> None:
    """Count composition, licenses, languages and totals from the manifest file alone."""
    count = _counter(connection, manifest)
    composition = count("corpus/released_composition")
    stats["composition"] = composition
    stats["licenses"] = count("corpus/released_licenses")
    stats["languages"] = count("corpus/released_languages")
    sums: dict[str, dict[str, int]] = {}
    for row in composition:
        held = sums.setdefault(row["source"], {"samples": 0, "bytes": 0})
        held["samples"] += row["samples"]
        held["bytes"] += row["bytes"]
    stats["sources"] = [
        {**source, **sums[source["source"]]} for source in stats["sources"] if source["source"] in sums
    ]
    shards = stats["shards"]
    stats["totals"] = {
        "samples": sum(shard["samples"] for shard in shards),
        "withdrawn": sum(shard["last"] - shard["first"] - shard["samples"] for shard in shards),
        "shards": len(shards),
        "shard_bytes": sum(shard["bytes"] for shard in shards),
        "image_bytes": sum(row["bytes"] for row in composition),
        "captions": sum(row["captions"] for row in composition),
        "conversations": sum(row["conversations"] for row in composition),
    }


def _counter(connection: duckdb.DuckDBPyConnection, manifest: Path) -> Callable[[str], list[dict[str, Any]]]:
    def count(name: str) -> list[dict[str, Any]]:
        result = connection.execute(query(name), {"manifest": str(manifest)})
        columns = [column[0] for column in result.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]

    return count
