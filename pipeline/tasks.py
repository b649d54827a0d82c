"""Plans tasks: partitions pending items into ranges of rows in plan files, and defines the shared job."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from ..adapters.base import Adapter, Context, Partitioning, SourceOptions
from ..catalog.item_rows import from_table
from ..catalog.models import Item
from ..catalog.queries import query
from ..catalog.status import Reason, Status
from ..media.media_options import MediaOptions
from .ingest_options import IngestOptions
from .option_hashes import OptionHashes
from .row_set import RowSet
from .segment_writer import WrittenSegment

if TYPE_CHECKING:
    import duckdb  # for types only: workers import this module but no database

ROW_GROUP = 1024
"""Rows per group of a plan file; a worker reads one group at a time."""

PAGES_PER_TASK = 16
"""Maximum number of document pages in one task: rendering a page takes about a second."""


KEYS_AT_ONCE = 10_000
"""Partition keys that are bound to one statement."""

FEWEST_TASKS = 4
"""Divides a batch into the smallest size of a task; few items give this many tasks per worker."""


@dataclass(frozen=True, slots=True)
class Job:
    """The objects that all tasks of a stage share.

    `adapters` maps sources to classes that the coordinator resolved; `options` maps sources to the hashes of
    their options.
    """

    run: str
    context: Context
    media: MediaOptions
    ingest: IngestOptions
    schema: pa.Schema
    adapters: Mapping[str, type[Adapter[Any]]]
    options: Mapping[str, OptionHashes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """Rows `start` to `stop` of a plan file, to be read by one worker.

    `partition` pins the task to a worker, so that one process sends all requests to a host. With
    `no_read_deadline` a read may take any time between two items. With `refresh` the items are ready, and
    only changes are recorded.

    The other fields describe earlier losses of workers on the task: `done` contains the rows of completed
    items (None for none), `skip` items that other tasks read, `only` the one item that is tried alone,
    `crashed` the items that are not read again, with the reason to record for each. `task_failure` is
    recorded for every item of the task, and no item is read.
    """

    source: SourceOptions
    plan: Path
    start: int
    stop: int
    pages: bool = False
    partition: int | None = None
    no_read_deadline: bool = False
    refresh: bool = False
    done: RowSet | None = None
    skip: frozenset[str] = frozenset()
    only: str | None = None
    crashed: Mapping[str, Reason] = field(default_factory=dict)
    task_failure: Reason | None = None


class Guard(Protocol):
    """Publishes the item that a worker decodes, so that a crash or a hang is attributed to the item."""

    def begin(self, item_id: str) -> None:
        """Mark the start of decoding the item's payload."""

    def waiting(self) -> None:
        """Mark that the adapter is reading and no payload is being decoded."""

    @property
    def ending(self) -> bool:
        """Whether the run is ending: recorded outcomes are emitted, and the other items stay pending."""


Emit = Callable[[WrittenSegment, list[int]], None]
"""Receives a complete segment and the plan rows of the task's items whose outcomes are in the segment."""

Report = Callable[[Counter[str]], None]
"""Receives the numbers of items, by cause, that a refresh left unchanged since the last call."""


def plan_ingest(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[SourceOptions], job: Job, *, pages: bool = True
) -> list[Task]:
    """Tasks for all pending items, source by source; without `pages` the pages of documents are excluded."""
    tasks: list[Task] = []
    folder, workers = job.context.workspace.state, job.ingest.workers
    for source in sources:
        stem = f"plan-{job.run}-{source.name}"
        partitioning = job.adapters[source.name].partitioning
        if pages:
            tasks += plan_pages(connection, source, folder, stem, workers=workers)
        tasks += plan_items(
            connection, source, partitioning, folder, stem, workers=workers, batch=job.ingest.batch
        )
    return tasks


def plan_refresh(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[SourceOptions], job: Job
) -> list[Task]:
    """Tasks that request every ready item of the sources again, conditionally if validators are stored."""
    tasks: list[Task] = []
    folder, workers = job.context.workspace.state, job.ingest.workers
    for source in sources:
        stem = f"plan-{job.run}-{source.name}-refresh"
        tasks += _plan_partitions(connection, source, folder, stem, workers, Status.READY)
    return [replace(task, refresh=True) for task in tasks]


def plan_pages(
    connection: duckdb.DuckDBPyConnection, source: SourceOptions, folder: Path, stem: str, *, workers: int
) -> list[Task]:
    """Tasks for the pending pages of a source's documents."""
    plan = folder / f"{stem}-pages.parquet"
    parameters = {"source": source.name, "pages": True, "by_key": False}
    rows = _write_plan(connection, query("segments/pending"), parameters, plan)
    limits = cut(rows, None, workers, PAGES_PER_TASK)
    return [Task(source, plan, start, stop, pages=True) for start, stop in pairwise(limits)]


def plan_items(
    connection: duckdb.DuckDBPyConnection,
    source: SourceOptions,
    partitioning: Partitioning,
    folder: Path,
    stem: str,
    *,
    workers: int,
    batch: int,
) -> list[Task]:
    """Tasks for the pending items of a source, divided by the adapter's `partitioning`."""
    if partitioning is Partitioning.BY_WORKER:
        return _plan_partitions(connection, source, folder, stem, workers, Status.DISCOVERED)
    plan = folder / f"{stem}.parquet"
    by_key = partitioning is Partitioning.BY_KEY
    parameters = {"source": source.name, "pages": False, "by_key": by_key}
    boundaries = array("q") if by_key else None
    rows = _write_plan(connection, query("segments/pending"), parameters, plan, boundaries)
    limits = cut(rows, boundaries, workers, batch)
    return [Task(source, plan, start, stop, no_read_deadline=by_key) for start, stop in pairwise(limits)]


def cut(rows: int, boundaries: Sequence[int] | None, workers: int, batch: int) -> list[int]:
    """The first row of each task, then the number of rows; with `boundaries`, tasks begin only there.

    Guided self-scheduling (Polychronopoulos and Kuck, 1987): the sizes of tasks decrease, so that the last
    tasks end together. Few items are also divided into several tasks per worker.
    """
    smallest = min(-(-rows // (workers * FEWEST_TASKS)), -(-batch // FEWEST_TASKS))
    cuts = [0]
    while cuts[-1] < rows:
        at = cuts[-1] + max(min(-(-(rows - cuts[-1]) // (2 * workers)), batch), smallest)
        if boundaries is not None:
            at = boundaries[bisect_left(boundaries, min(at, rows))]
        cuts.append(min(at, rows))
    return cuts


def _plan_partitions(
    connection: duckdb.DuckDBPyConnection,
    source: SourceOptions,
    folder: Path,
    stem: str,
    workers: int,
    status: Status,
) -> list[Task]:
    """One task per worker; each partition key, the largest first, goes to the task with the fewest items."""
    parameters = {"source": source.name, "status": status}
    keys = connection.execute(query("segments/partition_keys"), parameters).fetchall()
    loads = [0] * workers
    members: list[list[str]] = [[] for _ in range(workers)]
    for partition_key, items in keys:
        lightest = loads.index(min(loads))
        loads[lightest] += items
        members[lightest].append(partition_key)
    tasks = []
    for partition, names in enumerate(members):
        if not names:
            continue
        plan = folder / f"{stem}-{partition}.parquet"
        # lists, not an Arrow table (see catalog/segments.py); in parts: binding takes 400 bytes per key
        connection.execute("CREATE OR REPLACE TEMP TABLE partition_keys (partition_key VARCHAR)")
        for start in range(0, len(names), KEYS_AT_ONCE):
            chunk = {"keys": names[start : start + KEYS_AT_ONCE]}
            connection.execute("INSERT INTO partition_keys SELECT unnest(CAST($keys AS VARCHAR[]))", chunk)
        rows = _write_plan(connection, query("segments/partition"), parameters, plan)
        tasks.append(Task(source, plan, 0, rows, partition=partition, no_read_deadline=True))
    return tasks


def _write_plan(
    connection: duckdb.DuckDBPyConnection,
    statement: str,
    parameters: Mapping[str, Any],
    path: Path,
    boundaries: array[int] | None = None,
) -> int:
    """Write the rows to a plan file; return their number.

    The first row of each partition key but the first is added to `boundaries`, which end with the number of
    rows. A row without a partition key counts as a separate key.
    """
    reader = connection.execute(statement, dict(parameters)).to_arrow_reader(ROW_GROUP)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = 0
    last: str | None = None
    with pq.ParquetWriter(path, reader.schema) as writer:
        for batch in reader:
            if not batch.num_rows:
                continue
            writer.write_batch(batch, row_group_size=ROW_GROUP)
            if boundaries is not None:
                for at, partition_key in enumerate(batch.column("partition_key").to_pylist(), start=rows):
                    if at and (partition_key != last or not partition_key):
                        boundaries.append(at)
                    last = partition_key
            rows += batch.num_rows
    if not rows:
        path.unlink()
    if boundaries is not None:
        boundaries.append(rows)
    return rows


def read_plan(task: Task) -> Iterator[tuple[int, Item]]:
    """The rows and items of a task, without completed and skipped ones, read one row group at a time."""
    file = pq.ParquetFile(task.plan)
    first = 0
    for group in range(file.metadata.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        start, stop = max(task.start - first, 0), min(task.stop - first, count)
        if start < stop:
            table = file.read_row_group(group).slice(start, stop - start)
            for row, item in enumerate(from_table(table), start=first + start):
                if task.done is not None and row in task.done:
                    continue
                if item.item_id not in task.skip and task.only in (None, item.item_id):
                    yield row, item
        first += count
        if first >= task.stop:
            return
