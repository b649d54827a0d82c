"""Releases corpora, which freezes them, and drops corpora with their manifests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from ..catalog.connection import read_catalog, transaction, write_catalog
from ..catalog.models import now
from ..catalog.queries import query, quoted
from ..core.errors import UnknownManifest
from ..core.workspace import Workspace
from .build import record_files
from .describe import DescribedFile, draw_facts, write_description
from .errors import CorpusReleased, NotReleasable
from .files import hash_file
from .layout import CorpusFolder, corpora
from .plan import manifest_fingerprint

_TABLES = ("manifests", "allocations", "exclusions", "shards", "corpus_files")


@dataclass(frozen=True, slots=True)
class StoredCorpus:
    """A manifest and its corpus: rows, shards, size in bytes, and the time of its release.

    `samples` counts the rows of the manifest. `extended_by` names the other
    manifests that were drawn as its extensions.
    """

    name: str
    fingerprint: str
    samples: int
    shards: int
    bytes: int
    released_at: datetime | None
    extended_by: tuple[str, ...] = ()


def released_at(connection: duckdb.DuckDBPyConnection, name: str) -> datetime | None:
    """The time at which the corpus was released; None for a corpus that is not, or does not exist."""
    rows = connection.execute("SELECT released_at FROM manifests WHERE corpus = ?", [name]).fetchall()
    return rows[0][0] if rows else None


def refuse_released(connection: duckdb.DuckDBPyConnection, name: str, changed: Sequence[str] = ()) -> None:
    """Raise CorpusReleased if the corpus is released."""
    if released_at(connection, name) is not None:
        raise CorpusReleased(name, changed)


def find_corpus(workspace: Workspace, name: str) -> StoredCorpus:
    """The stored manifest and corpus of a name; UnknownManifest if there is neither."""
    folders = {folder.name for folder in corpora(workspace)}
    rows: list[tuple[Any, ...]] = []
    known: list[str] = []
    if workspace.catalog.exists():
        with read_catalog(workspace) as connection:
            rows = connection.execute(query("corpus/stored"), {"corpus": name}).fetchall()
            known = [corpus for (corpus,) in connection.execute("SELECT corpus FROM manifests").fetchall()]
    if not rows and name not in folders:
        raise UnknownManifest(name, sorted(folders.union(known)))
    if not rows:  # the folder of an unfinished build, or of a corpus that an interrupted removal left
        return StoredCorpus(name, "", 0, 0, 0, None)
    [(fingerprint, samples, shards, size, released, extended_by)] = rows
    return StoredCorpus(name, fingerprint, samples, shards, size, released, tuple(extended_by))


def why_incomplete(workspace: Workspace, name: str) -> str | None:
    """Why a corpus is not complete or not built from its present manifest; None if it is.

    Files are not compared with their hashes. Raises UnknownManifest.
    """
    with read_catalog(workspace) as connection:
        fingerprint = manifest_fingerprint(connection, name)
        [(shards, samples)] = connection.execute(
            "SELECT count(*), coalesce(sum(samples), 0) FROM shards WHERE corpus = ?", [name]
        ).fetchall()
    folder = CorpusFolder(workspace, name)
    if not shards or not folder.stats.exists():
        return f"it is not built: `derlem build {name}`"
    built = folder.build().get("manifest_fingerprint")
    if built != fingerprint or samples != find_corpus(workspace, name).samples:
        return f"it is not built from its present manifest: `derlem build {name}` brings it up to date"
    return None


def check_releasable(workspace: Workspace, name: str) -> StoredCorpus:
    """The corpus, if it is complete and undamaged: every shard is read and its hash compared.

    Raises UnknownManifest, or NotReleasable with the reason.
    """
    why = why_incomplete(workspace, name)
    if why is not None:
        raise NotReleasable(name, why)
    with read_catalog(workspace) as connection:
        shards = connection.execute(
            "SELECT path, sha256 FROM shards WHERE corpus = ? ORDER BY shard", [name]
        ).fetchall()
    for path, sha256 in shards:
        if not (workspace.root / path).exists() or hash_file(workspace.root / path) != sha256:
            raise NotReleasable(name, f"{path} is not the shard that was built: `derlem build {name}`")
    return find_corpus(workspace, name)


def release_corpus(workspace: Workspace, name: str) -> StoredCorpus:
    """Release a corpus; one that is released keeps its time. The caller holds the workspace's lock.

    Raises UnknownManifest and NotReleasable.
    """
    check_releasable(workspace, name)
    with write_catalog(workspace) as connection, transaction(connection):
        connection.execute(
            "UPDATE manifests SET released_at = ? WHERE corpus = ? AND released_at IS NULL", [now(), name]
        )
    folder = CorpusFolder(workspace, name)
    stats = json.loads(folder.stats.read_bytes())
    with read_catalog(workspace) as connection:
        stats |= draw_facts(connection, name)
    files = write_description(folder, stats)
    files.append(DescribedFile(folder.manifest, folder.manifest.stat().st_size, hash_file(folder.manifest)))
    with write_catalog(workspace) as connection, transaction(connection):
        record_files(connection, workspace, name, files)
    return find_corpus(workspace, name)


def drop_corpus(workspace: Workspace, name: str) -> StoredCorpus:
    """Remove a manifest with its corpus; what is left of an interrupted removal goes, too.

    The caller holds the workspace's lock. Raises UnknownManifest.
    """
    stored = find_corpus(workspace, name)
    folder = CorpusFolder(workspace, name)
    folder.stats.unlink(missing_ok=True)  # without it, no rebuild of the catalog restores the corpus
    if workspace.catalog.exists():
        with write_catalog(workspace) as connection, transaction(connection):
            connection.execute(
                "DELETE FROM manifest_rows WHERE manifest IN (SELECT number FROM manifests WHERE corpus = ?)",
                [name],
            )
            for table in _TABLES:
                connection.execute(f"DELETE FROM {quoted(table)} WHERE corpus = ?", [name])
    for path in (folder.root, folder.staging):
        if path.exists():
            shutil.rmtree(path)
    return stored
