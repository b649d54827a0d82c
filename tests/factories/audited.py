"""Build the corpus of a filled workspace, and audit it."""

from __future__ import annotations

from pathlib import Path

from derlem.catalog.audit import AuditResult, load_audits, run_audits
from derlem.catalog.connection import read_catalog
from derlem.catalog.image_scan import damaged_images
from derlem.corpus.build import BuildResult, build_corpus
from derlem.corpus.corpus_options import CorpusOptions
from derlem.corpus.shard_scan import scan_shards
from derlem.pipeline.purge import purge_residue
from tests.factories.filled_workspace import FilledWorkspace


def build(filled: FilledWorkspace, format: str = "webdataset") -> BuildResult:
    """Build the corpus `small` in shards of 20 KB."""
    options = CorpusOptions.model_validate({"format": format, "shard_size": "20KB"})
    return build_corpus(filled.workspace, "small", options, "run-3", 1, lambda *_: None)


def audit(filled: FilledWorkspace) -> dict[str, AuditResult]:
    """The result of every audit, by name."""
    with read_catalog(filled.workspace) as connection:
        damaged = damaged_images(connection, filled.workspace)
    found = scan_shards(filled.workspace, purge_residue(filled.workspace), 1, damaged)
    with read_catalog(filled.workspace) as connection:
        results = run_audits(connection, load_audits(), found)
    return {result.audit.name: result for result in results}


def firing(filled: FilledWorkspace) -> set[str]:
    """Names of the audits that return rows."""
    return {name for name, result in audit(filled).items() if result.count}


def shard(filled: FilledWorkspace, number: int = 0, suffix: str = "tar") -> Path:
    """The path of a shard of `small`."""
    return filled.workspace.corpora / "small" / f"small-{number:06d}.{suffix}"


def foreign_shard(built: FilledWorkspace) -> None:
    """Copy the first shard to a number that the catalog does not contain."""
    shard(built, 99).write_bytes(shard(built).read_bytes())


def truncated_shard(built: FilledWorkspace) -> None:
    """Truncate the first shard to half of its length."""
    data = shard(built).read_bytes()
    shard(built).write_bytes(data[: len(data) // 2])
