"""Builds a corpus: plans its shards, has workers write those that are not there yet, describes the result.

Whatever interrupts a build, the next one keeps the finished shards and ends with the same bytes.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ..catalog.store import read_catalog, transaction, write_catalog
from ..catalog.workspace import Workspace
from .describe import describe
from .errors import NotEnoughSpace
from .layout import CorpusFolder
from .options import CorpusOptions
from .plan import BuildPlan, Span, plan_build, planned_rows
from .shard import Shard, ShardTask, finished, fingerprint, write_shard
from .workers import each

log = logging.getLogger("derlem.build")

Progress = Callable[[int, int], None]
"""Called with the samples and bytes of each shard as it is finished or found finished."""


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A finished corpus."""

    name: str
    folder: Path
    shards: tuple[Shard, ...]

    @property
    def samples(self) -> int:
        """Number of samples."""
        return sum(shard.samples for shard in self.shards)

    @property
    def bytes(self) -> int:
        """Size of all shards together."""
        return sum(shard.bytes for shard in self.shards)

    @property
    def rewritten(self) -> int:
        """Shards that this build wrote; the others were there already."""
        return sum(shard.rewritten for shard in self.shards)


def build_corpus(
    workspace: Workspace,
    name: str,
    options: CorpusOptions,
    run: str,
    workers: int,
    progress: Progress,
) -> BuildResult:
    """Write the corpus of the sample `name` to `corpora/<name>/`, with `workers` processes.

    The caller holds the workspace's lock. Raises UnknownSample, UnbuildableSample, MixedMediaTypes,
    NotEnoughSpace, or MissingBytes when the store is not what the catalog says.
    """
    folder = CorpusFolder(workspace, name)
    with read_catalog(workspace) as connection:
        plan = plan_build(connection, workspace, name, options)
    check_space(folder, plan, plan.spans)
    shards = write_shards(workspace, plan, plan.spans, workers, progress)
    remove_strays(folder, plan)
    with read_catalog(workspace) as connection:
        describe(connection, folder, plan, shards, run)
    record_shards(workspace, name, shards)
    result = BuildResult(name, folder.root, tuple(shards))
    log.info("corpus %s: %d samples in %d shards, %d of them written now", name, result.samples,
             len(shards), result.rewritten)
    return result


def check_space(folder: CorpusFolder, plan: BuildPlan, spans: Iterable[Span]) -> None:
    """Raise NotEnoughSpace if the shards of `spans` would not fit beside what is there.

    A shard is written before the one that it replaces goes, hence a shard more.
    """
    folder.workspace.corpora.mkdir(parents=True, exist_ok=True)
    planned = {folder.shard(span.number, plan.options.format): span.bytes for span in spans}
    there = sum(min(path.stat().st_size, size) for path, size in planned.items() if path.exists())
    needed = sum(planned.values()) - there + max(planned.values(), default=0)
    free = shutil.disk_usage(folder.workspace.corpora).free
    if needed > free:
        raise NotEnoughSpace(folder.workspace.corpora, needed, free)


def write_shards(
    workspace: Workspace, plan: BuildPlan, spans: Iterable[Span], workers: int, progress: Progress
) -> list[Shard]:
    """Have the shards of `spans` written, as far as they are not there; returns them in order."""
    folder = CorpusFolder(workspace, plan.name)
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.staging.mkdir(parents=True, exist_ok=True)
    for pattern in ("*.tmp", "*.arrow"):
        for leftover in folder.staging.glob(pattern):
            leftover.unlink()
    shards: list[Shard] = []

    def take(shard: Shard) -> None:
        shards.append(shard)
        progress(shard.samples, shard.bytes)

    for shard in each(write_shard, _unfinished(folder, plan, spans, take), workers):
        take(shard)
    return sorted(shards, key=lambda shard: shard.number)


def _unfinished(
    folder: CorpusFolder, plan: BuildPlan, spans: Iterable[Span], take: Callable[[Shard], None]
) -> Iterator[ShardTask]:
    """Tasks for the shards that must be written, their plans beside them; `take` gets the others."""
    with read_catalog(folder.workspace) as connection:
        for span, rows in planned_rows(connection, plan.name, list(spans)):
            target = folder.shard(span.number, plan.options.format)
            task = ShardTask(
                workspace=folder.workspace,
                number=span.number,
                first=span.first,
                last=span.last,
                format=plan.options.format,
                extension=plan.extension,
                fingerprint=fingerprint(rows, plan.options.format, plan.extension),
                plan=folder.staging / f"{span.number:06d}.arrow",
                target=target,
                marker=folder.staging / f"{target.name}.json",
            )
            shard = finished(task)
            if shard is not None:
                take(shard)
                continue
            _write_plan(task.plan, rows)
            yield task


def _write_plan(path: Path, rows: pa.Table) -> None:
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, rows.schema, options=options) as writer:
        writer.write_table(rows)


def remove_strays(folder: CorpusFolder, plan: BuildPlan) -> None:
    """Remove shards and markers that the plan does not have: of a larger corpus, or another format."""
    planned = {folder.shard(span.number, plan.options.format) for span in plan.spans}
    for _, path in folder.shards():
        if path not in planned:
            log.info("removing %s, which is no part of the corpus any more", path.name)
            path.unlink()
    markers = {f"{path.name}.json" for path in planned}
    for path in folder.staging.glob("*.json"):
        if path.name not in markers:
            path.unlink()


def record_shards(workspace: Workspace, name: str, shards: Iterable[Shard]) -> None:
    """Write the rows of table `shards` for a corpus, in place of what was there."""
    rows = [
        (
            name,
            shard.number,
            shard.path.relative_to(workspace.root).as_posix(),
            shard.first,
            shard.last,
            shard.samples,
            shard.bytes,
            shard.sha256,
            shard.built_at,
        )
        for shard in shards
    ]
    with write_catalog(workspace) as connection, transaction(connection):
        connection.execute("DELETE FROM shards WHERE sample = ?", [name])
        if rows:
            connection.executemany("INSERT INTO shards VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
