"""Takes withdrawn items out of manifests and corpora: only the shards that held one are written again.

The items themselves are marked before, as a segment of their source. What is done here can be cut short
anywhere and done again.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from typing import Any

import duckdb

from ..catalog.queries import query
from ..catalog.store import read_catalog, transaction, write_catalog
from ..catalog.workspace import Workspace
from .build import BuildResult, Progress, build_corpus
from .errors import UnreadableCorpus
from .layout import CorpusFolder, corpora
from .options import CorpusOptions

log = logging.getLogger("derlem.build")


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Samples of one corpus whose items were withdrawn, by source.

    `redrawn`: the corpus held an earlier draw, of which no manifest tells any more.
    """

    name: str
    samples: dict[str, int]
    redrawn: bool = False


def find_withdrawn(connection: duckdb.DuckDBPyConnection) -> list[Withdrawn]:
    """Withdrawn items that manifests still hold; reads only."""
    found: dict[str, dict[str, int]] = {}
    for sample, _, source, samples in connection.execute(query("corpus/withdrawn")).fetchall():
        counts = found.setdefault(sample, {})
        counts[source] = counts.get(source, 0) + samples
    return [Withdrawn(name, counts) for name, counts in found.items()]


def withdraw_from_corpora(
    workspace: Workspace, run: str, workers: int, progress: Progress
) -> list[tuple[Withdrawn, BuildResult | None]]:
    """Take all withdrawn items out of all manifests, and out of the corpora that were built from them.

    Returns what went from each sample and its corpus, of which `rewritten` shards are new; None for a sample
    that was not built. Numbers, boundaries and bytes of all other shards stay as they are. A corpus whose
    sample was drawn anew since it was built may hold what no manifest names: it is built as it is drawn now.
    For the same reason the shards of a build that never came to its end go. The caller holds the workspace's
    lock.
    """
    with write_catalog(workspace) as connection, transaction(connection):
        gone = {found.name: found for found in find_withdrawn(connection)}
        _leave_out(connection)
    with read_catalog(workspace) as connection:
        _discard_unfinished(connection, workspace)
        redrawn = _redrawn(connection, workspace)
        found = connection.execute(query("corpus/outdated")).fetchall()
        unrecorded = {name for name in gone if CorpusFolder(workspace, name).stats.exists()}
        outdated = sorted(redrawn | unrecorded | {name for name, _, _ in found})
    results: list[tuple[Withdrawn, BuildResult | None]] = [
        (left, None) for name, left in gone.items() if name not in outdated
    ]
    for name in outdated:
        built = build_corpus(workspace, name, built_options(workspace, name), run, workers, progress)
        samples = gone[name].samples if name in gone else {}
        log.info(
            "corpus %s: %d samples withdrawn, %d of %d shards written again",
            name,
            sum(samples.values()),
            built.rewritten,
            len(built.shards),
        )
        results.append((Withdrawn(name, samples, name in redrawn), built))
    return results


def _discard_unfinished(connection: duckdb.DuckDBPyConnection, workspace: Workspace) -> None:
    """Remove what builds left that were cut short before the corpus was first complete."""
    withdrawn = connection.execute("SELECT 1 FROM items WHERE status = 'withdrawn' LIMIT 1").fetchall()
    complete = {name for (name,) in connection.execute("SELECT DISTINCT sample FROM shards").fetchall()}
    for folder in corpora(workspace) if withdrawn else []:
        if folder.name in complete or folder.stats.exists():  # or it came from elsewhere, to be restored
            continue
        shards = [path for _, path in folder.shards()]
        for path in shards:
            path.unlink()
        if folder.staging.exists():
            shutil.rmtree(folder.staging)
        if shards:
            log.warning("corpus %s: %d shards of an unfinished build are removed", folder.name, len(shards))


def _redrawn(connection: duckdb.DuckDBPyConnection, workspace: Workspace) -> set[str]:
    """Built corpora whose sample is another one by now."""
    rows = connection.execute(
        "SELECT sample, fingerprint FROM samples WHERE sample IN (SELECT sample FROM shards)"
    ).fetchall()
    return {
        name
        for name, fingerprint in rows
        if CorpusFolder(workspace, name).root.is_dir()
        and _build_facts(workspace, name)["sample_fingerprint"] != fingerprint
    }


def _leave_out(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring manifests, allocations and samples to what is left."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE withdrawn_samples AS {query('corpus/withdrawn')}")
    for name in ("withdraw_allocations", "withdraw_selected", "withdraw_seats"):
        connection.execute(query(f"corpus/{name}"))
    connection.execute("DROP TABLE withdrawn_samples")


def built_options(workspace: Workspace, name: str) -> CorpusOptions:
    """The options that a corpus was built with."""
    build = _build_facts(workspace, name)
    return CorpusOptions(format=build["format"], shard_size=build["shard_size"])


def _build_facts(workspace: Workspace, name: str) -> dict[str, Any]:
    """What a corpus says of its own making; UnreadableCorpus."""
    folder = CorpusFolder(workspace, name)
    try:
        build: dict[str, Any] = json.loads(folder.stats.read_bytes())["build"]
        if not {"format", "shard_size", "sample_fingerprint"} <= build.keys():
            raise KeyError("build")
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise UnreadableCorpus(folder.stats, f"it does not say how the corpus was built ({error})") from error
    return build
