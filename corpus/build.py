"""Builds a corpus: plans its shards, has workers write those that are not there yet, describes the result.

Whatever interrupts a build, the next one keeps the finished shards and ends with the same bytes.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from ..catalog.connection import read_catalog, transaction, write_catalog
from ..core.fork_server import start_fork_server
from ..core.workers import map_in_workers
from ..core.workspace import Workspace
from .corpus_options import CorpusOptions
from .describe import DescribedFile, describe
from .errors import NotEnoughSpace
from .fingerprint import fingerprint
from .layout import CorpusFolder
from .manifest import ManifestWriter
from .plan import BuildPlan, plan_build, planned_rows
from .shard import Shard, ShardTask, finished, write_shard

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
    """Write the corpus of the manifest `name` to `corpora/<name>/`, with `workers` processes.

    The caller holds the workspace's lock. Raises UnknownManifest, UnbuildableSample, MixedMediaTypes,
    NotEnoughSpace, or MissingBytes or DamagedImage when the store differs from the catalog.
    """
    if workers > 1:
        start_fork_server("derlem.corpus.shard")  # it imports beside the planning
    with read_catalog(workspace) as connection:
        plan = plan_build(connection, workspace, name, options)
    shards, files = write_corpus(workspace, plan, run, workers, progress)
    with write_catalog(workspace) as connection, transaction(connection):
        record_shards(connection, workspace, name, plan.fingerprint, shards)
        record_files(connection, workspace, plan.name, files)
    return BuildResult(name, CorpusFolder(workspace, name).root, tuple(shards))


def write_corpus(
    workspace: Workspace, plan: BuildPlan, run: str, workers: int, progress: Progress
) -> tuple[list[Shard], list[DescribedFile]]:
    """Make the folder of a corpus equal to its plan; returns all shards, in order, and the other files.

    The catalog is read, not written.
    """
    folder = CorpusFolder(workspace, plan.name)
    check_space(folder, plan)
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.staging.mkdir(parents=True, exist_ok=True)
    for pattern in ("*.tmp", "*.arrow"):
        for leftover in folder.staging.glob(pattern):
            leftover.unlink()
    shards: list[Shard] = []

    def take(shard: Shard) -> None:
        shards.append(shard)
        progress(shard.samples, shard.bytes)

    with (
        ManifestWriter(folder.staging / "manifest.tmp", plan.name, plan.shape) as manifest,
        # an interrupt leaves the generator suspended, with an open connection that no writer may meet
        closing(_unfinished(folder, plan, manifest, take)) as tasks,
    ):
        for shard in map_in_workers(write_shard, tasks, workers):
            take(shard)
        listed = manifest.close()
    shards.sort(key=lambda shard: shard.number)
    _remove_strays(folder, plan)
    with read_catalog(workspace) as connection:
        files = describe(connection, folder, plan, shards, listed, run)
    log.info(
        "corpus %s: %d samples in %d shards, %d of them written now",
        plan.name,
        plan.samples,
        len(shards),
        sum(shard.rewritten for shard in shards),
    )
    return shards, files


def check_space(folder: CorpusFolder, plan: BuildPlan) -> None:
    """Raise NotEnoughSpace if the shards would not fit beside what is there.

    A shard is written before the one that it replaces goes, hence a shard more.
    """
    folder.workspace.corpora.mkdir(parents=True, exist_ok=True)
    planned = {folder.shard(span.number, plan.options.format): span.bytes for span in plan.spans}
    there = sum(min(path.stat().st_size, size) for path, size in planned.items() if path.exists())
    needed = sum(planned.values()) - there + max(planned.values(), default=0)
    free = shutil.disk_usage(folder.workspace.corpora).free
    if needed > free:
        raise NotEnoughSpace(folder.workspace.corpora, needed, free)


def _unfinished(
    folder: CorpusFolder, plan: BuildPlan, manifest: ManifestWriter, take: Callable[[Shard], None]
) -> Generator[ShardTask]:
    """Tasks for the shards that must be written, their plans beside them; `take` gets the others.

    On the way, all samples are listed in the manifest.
    """
    with read_catalog(folder.workspace) as connection:
        for span, rows in planned_rows(connection, plan.name, plan.spans):
            manifest.add(rows, span.number)
            target = folder.shard(span.number, plan.options.format)
            task = ShardTask(
                workspace=folder.workspace,
                number=span.number,
                first=span.first,
                last=span.last,
                format=plan.options.format,
                shape=plan.shape,
                fingerprint=fingerprint(rows, plan.options.format, plan.shape),
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


def _remove_strays(folder: CorpusFolder, plan: BuildPlan) -> None:
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


def record_shards(
    connection: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    name: str,
    fingerprint: str,
    shards: Iterable[Shard],
) -> None:
    """Write the rows of table `shards` for a corpus, in place of what was there. The caller commits.

    `fingerprint` is that of the manifest.
    """
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
            fingerprint,
        )
        for shard in shards
    ]
    connection.execute("DELETE FROM shards WHERE corpus = ?", [name])
    if rows:
        connection.executemany("INSERT INTO shards VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def record_files(
    connection: duckdb.DuckDBPyConnection, workspace: Workspace, name: str, files: Iterable[DescribedFile]
) -> None:
    """Write the rows of table `corpus_files` for a corpus, in place of what was there. The caller commits."""
    connection.execute("DELETE FROM corpus_files WHERE corpus = ?", [name])
    rows = [
        (name, file.path.relative_to(workspace.root).as_posix(), file.bytes, file.sha256) for file in files
    ]
    connection.executemany("INSERT INTO corpus_files VALUES (?, ?, ?, ?)", rows)
