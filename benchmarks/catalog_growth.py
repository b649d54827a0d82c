"""How the cost of everyday work grows with the catalog: 10 million items in 10,000 segments beside a tenth.

    python -m benchmarks.catalog_growth [--rows 10000000] [--folder DIR] [--only NAME ...]

Ten URL lists are the sources; a run with nothing to do finds them unchanged. Each figure is the best of three
of CPU seconds and wall seconds; commands include the start of the interpreter. --folder stores the catalogs
for later runs (2 GB for 10 million items). Commits must cost at most 1.5 times as much in the large catalog,
and so must runs with nothing to do, and provenance.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from derlem import Project
from derlem.catalog.connection import read_catalog
from derlem.catalog.item_rows import from_table
from derlem.catalog.models import Item
from derlem.catalog.segments import row_schema
from derlem.catalog.status import Status
from derlem.pipeline.discover import Changes, Listing, Target, discover
from derlem.pipeline.ingest_options import IngestOptions
from derlem.pipeline.run import write_provenance
from derlem.pipeline.segment_store import SegmentStore
from derlem.pipeline.stages import known_sources

from . import synthetic_catalog

ROUNDS = 3
OUTCOMES = 1_500
RELISTED = 50_000
FACTOR = 1.5
BOUNDED = ("commit", "commit, scattered", "run", "provenance")
"""Figures that must not grow by more than FACTOR."""
SECONDS = {"run": 10.0, "status": 1.0}
"""Limits of wall seconds, in any catalog."""


@dataclass(frozen=True)
class Cost:
    cpu: float
    wall: float


def prepare(folder: Path, rows: int, segments: int) -> Project:
    """Create the catalog, its lists and the names of its segments' files, unless they exist."""
    configuration = folder / "derlem.yaml"
    sources = [
        {
            "name": f"source-{number}",
            "adapter": "urls",
            "path": f"lists/source-{number}.parquet",
            "columns": {"url": "url", "caption": "caption", "category": "category", "language": "language"},
            "license": "CC0-1.0",
        }
        for number in range(10)
    ]
    project = Project({"workspace": "work", "sources": sources}, base=folder)
    if not configuration.exists():
        started = time.perf_counter()
        workspace = project.workspace
        options = project._execution.declarations.hashes(project.config.sources[0])
        folder.mkdir(parents=True, exist_ok=True)
        synthetic_catalog.make(workspace, rows, segments, options.of(Status.READY, None, False))
        synthetic_catalog.write_lists(workspace, folder / "lists")
        with read_catalog(workspace) as connection:
            names = connection.execute("SELECT segment FROM segments").fetchall()
        for (name,) in names:
            workspace.segment_rows(name).parent.mkdir(parents=True, exist_ok=True)
            workspace.segment_rows(name).touch()
            workspace.segment_tar(name).touch()
        configuration.write_text(yaml.safe_dump({"workspace": "work", "sources": sources}))
        print(f"made {rows:,} items in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return project


def measured(work: Callable[[], object]) -> Cost:
    """The cost of the work in this process and its children."""
    before, started = os.times(), time.perf_counter()
    work()
    after, ended = os.times(), time.perf_counter()
    return Cost(sum(after[:4]) - sum(before[:4]), ended - started)


def best(work: Callable[[int], Callable[[], object]], rounds: int = ROUNDS) -> Cost:
    """The smallest cost of several rounds; `work` prepares the round of a number."""
    costs = [measured(work(number)) for number in range(rounds)]
    return Cost(min(cost.cpu for cost in costs), min(cost.wall for cost in costs))


def opened_store(project: Project) -> SegmentStore:
    """The store of the project's segments, which numbers new ones after those of the catalog."""
    store = SegmentStore(project.workspace, IngestOptions())
    with read_catalog(project.workspace) as connection:
        numbers = connection.execute("SELECT source, max(number) FROM segments GROUP BY source").fetchall()
    store._last |= dict(numbers)
    return store


def commit(project: Project, choice: str) -> Callable[[], object]:
    """A commit of the outcomes of chosen items, as new images of stored items."""
    store = opened_store(project)
    with read_catalog(project.workspace) as connection:
        rows = connection.execute(
            f"SELECT * EXCLUDE (segment) FROM items WHERE source = 'source-3' AND {choice} LIMIT {OUTCOMES}"
        ).to_arrow_table()
    assert rows.num_rows == OUTCOMES
    store.write_rows("source-3", "refresh", "benchmark", rows.cast(row_schema()))
    return store.commit


def announce(project: Project, number: int) -> Callable[[], object]:
    """A commit of items that the catalog lacks, which it searches in their whole source."""
    store = opened_store(project)
    with read_catalog(project.workspace) as connection:
        rows = connection.execute(
            "SELECT * EXCLUDE (segment) REPLACE (md5(item_id || $1) AS item_id,"
            " (SELECT max(ordinal) FROM items) + row_number() OVER () AS ordinal, 'discovered' AS status)"
            " FROM items WHERE source = 'source-3' LIMIT $2",
            [str(time.time_ns() + number), OUTCOMES],
        ).to_arrow_table()
    store.write_rows("source-3", "discover", "benchmark", rows.cast(row_schema()))
    return store.commit


def relist(project: Project) -> Callable[[], object]:
    """The comparison of a listing's items with the catalog; the listing is a part of the source."""
    with read_catalog(project.workspace) as connection:
        rows = connection.execute(
            "SELECT * EXCLUDE (segment) FROM items WHERE source = 'source-3' ORDER BY ordinal"
            f" LIMIT {RELISTED}"
        ).to_arrow_table()
    listed = [
        "source",
        "uri",
        "locator",
        "category",
        "caption",
        "language",
        "license",
        "meta",
        "locator_state",
    ]
    items = [Item(**{name: getattr(item, name) for name in listed}) for item in from_table(rows)]
    source = project.config.sources[3]
    known = known_sources(project.workspace)["source-3"]

    def run() -> None:
        listing = Listing(source, iter([items]), empty=False, partial=True)
        changes = Changes()
        options = project._execution.declarations.hashes(source)
        target = Target(project.workspace, "benchmark", None)
        discover(
            listing, target, changes, first_ordinal=known.next_ordinal, options=options,
            progress=lambda listed, new: None,
        )  # fmt: skip
        assert not (changes.new or changes.amended or changes.changed or changes.outdated), changes

    return run


def command(folder: Path, *words: str) -> Callable[[], object]:
    """A command of derlem."""
    line = [sys.executable, "-m", "derlem", "-c", str(folder / "derlem.yaml"), *words]

    def run() -> None:
        subprocess.run(line, check=True, capture_output=True)

    return run


def measure(folder: Path, rows: int, segments: int, only: list[str]) -> dict[str, Cost]:
    """The costs of everyday work in a catalog."""
    project = prepare(folder, rows, segments)
    workspace = project.workspace
    # a third of the items lies before the chosen ones, which are adjacent or a sample of all
    near = f"ordinal >= {rows // 3} + {{0}} * {rows // 100}"
    far = f"ordinal % {rows // OUTCOMES // 20} = {{0}}"
    works: dict[str, Callable[[int], Callable[[], object]]] = {
        "open": lambda _: command(folder, "sql", "SELECT 1"),
        "status": lambda _: command(folder, "status"),
        "sql": lambda _: command(folder, "sql", "FROM progress"),
        "provenance": lambda _: lambda: write_provenance(workspace),
        "relist": lambda _: relist(project),
        "commit": lambda number: commit(project, near.format(number)),
        "commit, scattered": lambda number: commit(project, far.format(number)),
        "commit, new": lambda number: announce(project, number),
        "run": lambda _: command(folder, "run"),
    }
    return {name: best(work) for name, work in works.items() if not only or name in only}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    chosen = parser.parse_args()
    sizes = ((chosen.rows // 10, 1_000), (chosen.rows, 10_000))
    missed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        small, large = (measure(folder / str(rows), rows, count, chosen.only) for rows, count in sizes)
    print(f"{'':18} {sizes[0][0]:>11,} items {sizes[1][0]:>13,} items   CPU s (wall s), factor of CPU")
    for name, cost in large.items():
        factor = cost.cpu / small[name].cpu
        wrong = (name in BOUNDED and factor > FACTOR) or cost.wall > SECONDS.get(name, float("inf"))
        missed += wrong
        print(
            f"{name:18} {small[name].cpu:8.2f} ({small[name].wall:5.2f}) {cost.cpu:10.2f} ({cost.wall:6.2f})"
            f" {factor:6.2f}{'  MISSED' if wrong else ''}",
            flush=True,
        )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
