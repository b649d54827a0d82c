"""Restores the catalog's manifests and shards from the files in `corpora/`."""

from __future__ import annotations

import json
import logging
from typing import Any

import duckdb
import pyarrow as pa

from ..catalog.manifests import manifest_number
from ..catalog.queries import query, quoted
from ..core.workspace import Workspace
from .errors import UnreadableCorpus
from .files import hash_file
from .layout import CorpusFolder

log = logging.getLogger("derlem.build")


def restore_corpora(connection: duckdb.DuckDBPyConnection, workspace: Workspace) -> list[str]:
    """Fill the tables `manifests` to `shards` for every corpus; returns the names of the corpora.

    Earlier rows of these corpora are replaced; the caller commits. A folder without `stats.json` is an
    unfinished build and is passed over. Raises UnreadableCorpus when files do not belong together.
    """
    restored = []
    for path in sorted(workspace.corpora.glob("[!.]*/stats.json")):
        folder = CorpusFolder(workspace, path.parent.name)
        stats = _read(folder)
        _forget(connection, folder.name)
        number = manifest_number(connection, folder.name)
        _insert(connection, "manifests", [{**stats["draw"], "number": number}])
        _insert(connection, "allocations", stats["allocations"])
        _insert(connection, "exclusions", stats["exclusions"])
        _insert(connection, "shards", [_shard_row(folder, stats, shard) for shard in stats["shards"]])
        _insert(connection, "corpus_files", _file_rows(folder, stats))
        try:
            values = {"manifest": str(folder.manifest), "number": number}
            connection.execute(query("corpus/restore_rows"), values)
        except duckdb.ConstraintException as error:
            why = "its rows are of strata that stats.json does not number; build the corpus again"
            raise UnreadableCorpus(folder.manifest, why) from error
        restored.append(folder.name)
        log.info("restored corpus %s", folder.name)
    return restored


def _read(folder: CorpusFolder) -> dict[str, Any]:
    try:
        stats: dict[str, Any] = json.loads(folder.stats.read_bytes())
        wanted, _ = stats["manifest"]["sha256"], stats["files"]
        if stats["draw"]["corpus"] != folder.name:
            raise UnreadableCorpus(folder.stats, f"it describes the corpus {stats['draw']['corpus']!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableCorpus(folder.stats, f"no build wrote this ({error})") from error
    if not folder.manifest.exists() or hash_file(folder.manifest) != wanted:
        raise UnreadableCorpus(folder.manifest, "it is not the manifest that stats.json names")
    return stats


def _forget(connection: duckdb.DuckDBPyConnection, corpus: str) -> None:
    connection.execute(
        "DELETE FROM manifest_rows WHERE manifest IN (SELECT number FROM manifests WHERE corpus = ?)",
        [corpus],
    )
    for table in ("manifests", "allocations", "exclusions", "shards"):
        connection.execute(f"DELETE FROM {quoted(table)} WHERE corpus = ?", [corpus])


def _shard_row(folder: CorpusFolder, stats: dict[str, Any], shard: dict[str, Any]) -> dict[str, Any]:
    path = (folder.root / shard["file"]).relative_to(folder.workspace.root).as_posix()
    row = {name: value for name, value in shard.items() if name != "file"}
    fingerprint = stats["build"]["manifest_fingerprint"]
    return {"corpus": folder.name, "path": path, "manifest_fingerprint": fingerprint, **row}


def _file_rows(folder: CorpusFolder, stats: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of `corpus_files`; `stats.json` is taken as it is, as nothing else holds its hash."""
    size = folder.stats.stat().st_size
    itself = {"file": folder.stats.name, "bytes": size, "sha256": hash_file(folder.stats)}
    return [
        {
            "corpus": folder.name,
            "path": (folder.root / file["file"]).relative_to(folder.workspace.root).as_posix(),
            "bytes": file["bytes"],
            "sha256": file["sha256"],
        }
        for file in (stats["manifest"], *stats["files"], itself)
    ]


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, Any]]) -> None:
    """Insert rows by column name; texts become times where the table has times."""
    if rows:
        connection.register("found", pa.Table.from_pylist(rows))
        connection.execute(f"INSERT INTO {quoted(table)} BY NAME FROM found")
        connection.unregister("found")
