"""Describes a corpus in files of its own: manifest, statistics, dataset card and Croissant."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from .. import __version__
from ..catalog.queries import query
from ..core.durable import rename, replace_file
from .card import card, summary
from .croissant import croissant
from .energon import refresh_energon
from .fingerprint import LAYOUT
from .layout import CorpusFolder
from .manifest import ManifestFile
from .plan import BuildPlan
from .shard import Shard


@dataclass(frozen=True, slots=True)
class DescribedFile:
    """A file of a corpus beside its shards; `sha256` in hex."""

    path: Path
    bytes: int
    sha256: str


def describe(
    connection: duckdb.DuckDBPyConnection,
    folder: CorpusFolder,
    plan: BuildPlan,
    shards: Sequence[Shard],
    manifest: ManifestFile,
    run: str,
) -> list[DescribedFile]:
    """Put the finished manifest in its place, and write everything else in a corpus that is not a shard.

    Returns these files. `stats.json` names all but itself with their hashes.
    """
    rename(manifest.path, folder.manifest)
    stats = statistics(connection, folder, plan, shards, run)
    stats["manifest"] = {"file": folder.manifest.name, "bytes": manifest.bytes, "sha256": manifest.sha256}
    earlier = folder.build().get("run")
    if earlier is not None and folder.described(stats, run=earlier):
        stats["build"]["run"] = earlier  # a build that changes nothing leaves every file as it is
    files = write_description(folder, stats)
    return [DescribedFile(folder.manifest, manifest.bytes, manifest.sha256), *files]


def write_description(folder: CorpusFolder, stats: dict[str, Any]) -> list[DescribedFile]:
    """Write card, Croissant and, last, `stats.json` from the statistics of a corpus; returns these files.

    Files for Energon are brought up to date, where there are any.
    """
    files = [
        _write(folder.card, card(stats)),
        _write(folder.croissant, _json(croissant(stats, summary(stats)))),
    ]
    refresh_energon(folder, stats)
    stats["files"] = [{"file": file.path.name, "bytes": file.bytes, "sha256": file.sha256} for file in files]
    return [*files, _write(folder.stats, _json(stats))]


def _write(path: Path, text: str) -> DescribedFile:
    data = text.encode()
    replace_file(path, data)
    return DescribedFile(path, len(data), hashlib.sha256(data).hexdigest())


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def statistics(
    connection: duckdb.DuckDBPyConnection,
    folder: CorpusFolder,
    plan: BuildPlan,
    shards: Sequence[Shard],
    run: str,
) -> dict[str, Any]:
    """What the corpus holds, and all that a rebuilt catalog needs to know it again."""
    values = {"corpus": folder.name}
    composition = _rows(connection, query("corpus/composition"), values)
    return {
        "derlem": __version__,
        "name": folder.name,
        "build": {
            "run": run,
            "layout": LAYOUT,
            "format": plan.options.format,
            "shard_size": int(plan.options.shard_size),
            "extension": plan.shape.extension,
            "images": plan.shape.images,
            "captions": plan.shape.captions,
            "manifest_fingerprint": plan.fingerprint,
        },
        "totals": {
            "samples": sum(shard.samples for shard in shards),
            "withdrawn": sum(shard.last - shard.first - shard.samples for shard in shards),
            "shards": len(shards),
            "shard_bytes": sum(shard.bytes for shard in shards),
            "image_bytes": sum(row["bytes"] for row in composition),
            "captions": sum(row["captions"] for row in composition),
            "conversations": sum(row["conversations"] for row in composition),
        },
        "composition": composition,
        "sources": _rows(connection, query("corpus/sources"), values),
        "licenses": _rows(connection, query("corpus/licenses"), values),
        "languages": _rows(connection, query("corpus/languages"), values),
        "shards": [
            {
                "shard": shard.number,
                "file": shard.path.name,
                "first": shard.first,
                "last": shard.last,
                "samples": shard.samples,
                "bytes": shard.bytes,
                "sha256": shard.sha256,
                "built_at": shard.built_at.isoformat(),
            }
            for shard in shards
        ],
        **draw_facts(connection, folder.name),
    }


def draw_facts(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, Any]:
    """What a rebuilt catalog needs to know of a corpus's draw: manifest, allocations and exclusions."""
    values = {"corpus": name}
    return {
        "draw": _rows(connection, "SELECT * EXCLUDE number FROM manifests WHERE corpus = $corpus", values)[0],
        "allocations": _rows(
            connection, "SELECT * FROM allocations WHERE corpus = $corpus ORDER BY node, source", values
        ),
        "exclusions": _rows(
            connection, "SELECT * FROM exclusions WHERE corpus = $corpus ORDER BY ALL", values
        ),
    }


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    result = connection.execute(sql, values)
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, map(_plain, row), strict=True)) for row in result.fetchall()]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
