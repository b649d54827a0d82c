"""Removes withdrawn items from manifests and corpora: only the shards that held one are written again.

The items are marked before, by a segment of their source. This work can be interrupted anywhere and repeated.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from ..catalog.connection import read_catalog, transaction, write_catalog
from ..catalog.queries import query
from ..core.workspace import Workspace
from .build import BuildResult, Progress, build_corpus
from .corpus_options import CorpusOptions
from .layout import SHARD_SUFFIXES, CorpusFolder, corpora
from .released_shards import released_copies, remove_from_released

log = logging.getLogger("derlem.build")


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Samples of one corpus whose items were withdrawn, by source.

    `redrawn`: the corpus was built from an earlier draw, whose manifest is not stored any more.
    """

    name: str
    samples: dict[str, int]
    redrawn: bool = False


def find_withdrawn(
    connection: duckdb.DuckDBPyConnection, copies: Sequence[tuple[str, str]] = ()
) -> list[Withdrawn]:
    """Withdrawn items that manifests still hold, and `copies` (corpus, item_id); writes no table."""
    connection.execute("CREATE OR REPLACE TEMP TABLE withdrawn_copies (corpus VARCHAR, item_id VARCHAR)")
    if copies:
        connection.executemany("INSERT INTO withdrawn_copies VALUES (?, ?)", list(copies))
    found: dict[str, dict[str, int]] = {}
    for corpus, _, source, samples in connection.execute(query("corpus/withdrawn")).fetchall():
        counts = found.setdefault(corpus, {})
        counts[source] = counts.get(source, 0) + samples
    return [Withdrawn(name, counts) for name, counts in found.items()]


def withdraw_from_corpora(
    workspace: Workspace, configured: CorpusOptions, run: str, workers: int, progress: Progress
) -> list[tuple[Withdrawn, BuildResult | None]]:
    """Remove all withdrawn items from all manifests, and from the corpora that were built from them.

    Returns the samples removed from each manifest with the build of its corpus, whose `rewritten` counts the
    new shards; None where there is no corpus. Numbers, boundaries and bytes of other shards do not change.
    A corpus whose manifest was redrawn since may contain withdrawn items that no manifest lists: it is built
    from the current manifest. For the same reason the shards of an unfinished build are removed. A corpus
    whose statistics cannot be read is built as `configured`, in the format of its shards. From a released
    corpus, samples with the image of a withdrawn item go, too, whatever image their item has by now. The
    caller holds the workspace's lock.
    """
    with write_catalog(workspace) as connection, transaction(connection):
        released = [
            name
            for (name,) in connection.execute(
                "SELECT corpus FROM manifests WHERE released_at IS NOT NULL ORDER BY corpus"
            ).fetchall()
        ]
        copies = released_copies(connection, workspace, released)
        gone = {found.name: found for found in find_withdrawn(connection, copies)}
        _leave_out(connection)
    with read_catalog(workspace) as connection:
        built = connection.execute(query("corpus/built")).fetchall()
        withdrawn = connection.execute("SELECT 1 FROM items WHERE status = 'withdrawn' LIMIT 1").fetchall()
    if withdrawn:
        _discard_unfinished(workspace, {name for name, *_ in built})
    there = {folder.name: folder for folder in corpora(workspace)}
    redrawn = {
        name
        for name, _, _, fingerprint in built
        if name in there and there[name].build().get("manifest_fingerprint", fingerprint) != fingerprint
    }
    unreadable = {name for name, *_ in built if name in there and not there[name].build()}
    changed = {name for name, samples, rows, _ in built if name in there and samples != rows}
    unrecorded = {name for name in gone if name in there and there[name].stats.exists()}
    outdated = sorted(redrawn | changed | unrecorded | unreadable)
    results: list[tuple[Withdrawn, BuildResult | None]] = [
        (left, None) for name, left in gone.items() if name not in outdated
    ]
    for name in outdated:
        if name in released:
            result = remove_from_released(workspace, name, run, progress)
        else:
            options = _built_options(there[name], configured)
            result = build_corpus(workspace, name, options, run, workers, progress)
        samples = gone[name].samples if name in gone else {}
        log.info(
            "corpus %s: %d samples withdrawn, %d of %d shards written again",
            name,
            sum(samples.values()),
            result.rewritten,
            len(result.shards),
        )
        results.append((Withdrawn(name, samples, name in redrawn), result))
    return results


def _discard_unfinished(workspace: Workspace, complete: set[str]) -> None:
    """Remove the shards of builds that ended before the corpus was first complete."""
    for folder in corpora(workspace):
        if folder.name in complete or folder.stats.exists():  # or it came from elsewhere, to be restored
            continue
        shards = [path for _, path in folder.shards()]
        for path in shards:
            path.unlink()
        if folder.staging.exists():
            shutil.rmtree(folder.staging)
        if shards:
            log.warning("corpus %s: %d shards of an unfinished build are removed", folder.name, len(shards))


def _leave_out(connection: duckdb.DuckDBPyConnection) -> None:
    """Reduce manifests and allocations by the withdrawn items."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE withdrawn_samples AS {query('corpus/withdrawn')}")
    for name in ("withdraw_allocations", "withdraw_manifests", "withdraw_rows"):
        connection.execute(query(f"corpus/{name}"))
    connection.execute("DROP TABLE withdrawn_samples")


def _built_options(folder: CorpusFolder, configured: CorpusOptions) -> CorpusOptions:
    """The options that a corpus was built with; without readable statistics, what else is known of them."""
    build = folder.build()
    try:
        return CorpusOptions(format=build["format"], shard_size=build["shard_size"])
    except (ValueError, KeyError) as error:
        log.warning("%s cannot be read (%s): all shards are written again", folder.stats, error)
    suffixes = {path.suffix[1:] for _, path in folder.shards()}
    formats = [format for format, suffix in SHARD_SUFFIXES.items() if suffix in suffixes]
    return configured.model_copy(update={"format": formats[0]}) if len(formats) == 1 else configured
