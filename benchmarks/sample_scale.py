"""Sampling at scale: half of 10 million rows over 11,100 strata, beside pandas and polars.

    python -m benchmarks.sample_scale [--rows 10000000] [--largest 100000000] [--folder DIR]

derlem runs the whole command, from opening the catalog: deduplication, allocation, draw, order, storage and
fingerprint. The catalog contains a deduplication index of its items; "ours, no index" computes the index
first, and "definition" runs sql/sampling/draw.sql unchanged. Garbage collection and the import of pandas
are set as in derlem's commands.
pandas and polars read the same items from Parquet (the three necessary columns) and select the same numbers
per stratum at random, without deduplication, reproducible order and storage. Each runs in a separate process,
in turns; the best of three is reported, without the start of the interpreter. Then derlem runs alone at
growing sizes, with a target of half the rows.
--folder stores the catalogs for later runs; 100 million rows take 14 GB of disk and ten minutes to create.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from derlem.catalog.connection import read_catalog, write_catalog
from derlem.core.startup import block_pandas, tune_gc
from derlem.core.workspace import Workspace
from derlem.sampling import fast_draw
from derlem.sampling.draw import draw_sample
from derlem.sampling.plan import plan_sample
from derlem.sampling.sample_options import SampleOptions

from . import synthetic_catalog

ROUNDS = 3
SEED = 42


def options(rows: int) -> SampleOptions:
    return SampleOptions(name="bench", seed=SEED, target=rows // 2)


def prepare(folder: Path, rows: int) -> None:
    """Create a catalog, its items as Parquet, and the seats per stratum, unless they exist."""
    done = folder / "done.json"
    if done.exists() and json.loads(done.read_text()) == rows:
        return
    folder.mkdir(parents=True, exist_ok=True)
    workspace = Workspace(folder)
    workspace.catalog.unlink(missing_ok=True)
    started = time.perf_counter()
    synthetic_catalog.make(workspace, rows)
    done.write_text(json.dumps(rows))
    print(f"made {rows:,} items in {time.perf_counter() - started:.0f} s", file=sys.stderr)


def export(folder: Path, rows: int) -> None:
    """Write the input of pandas and polars: the items as Parquet, and the seats per stratum."""
    if (folder / "quotas.parquet").exists():
        return
    with read_catalog(Workspace(folder)) as connection:
        plan = plan_sample(connection, options(rows))
        columns = "item_id, category, source"
        connection.execute(f"COPY (SELECT {columns} FROM items) TO '{folder}/items.parquet'")
    seats = [(node.category, node.source, node.allocated) for node in plan.nodes if node.source]
    table = duckdb.connect()
    table.execute("CREATE TABLE quotas (category VARCHAR, source VARCHAR, seats BIGINT)")
    table.executemany("INSERT INTO quotas VALUES (?, ?, ?)", seats)
    table.execute(f"COPY quotas TO '{folder}/quotas.parquet'")


def ours(folder: Path) -> int:
    block_pandas()
    tune_gc()
    rows = json.loads((folder / "done.json").read_text())
    with write_catalog(Workspace(folder)) as connection:
        return draw_sample(connection, options(rows), "bench").selected


def ours_unindexed(folder: Path) -> int:
    with write_catalog(Workspace(folder)) as connection:
        connection.execute("DELETE FROM dedup_index")
    return ours(folder)


def definition(folder: Path) -> int:
    fast_draw.MEMORY = 0
    return ours(folder)


def pandas_head(folder: Path) -> int:
    import pandas as pd

    items = pd.read_parquet(folder / "items.parquet")
    quotas = pd.read_parquet(folder / "quotas.parquet")
    seats = quotas.set_index(["category", "source"])["seats"].to_dict()
    shuffled = items.sample(frac=1, random_state=SEED)
    groups = shuffled.groupby(["category", "source"], sort=False)
    return len(pd.concat(group.head(seats[key]) for key, group in groups))


def pandas_cumcount(folder: Path) -> int:
    import pandas as pd

    items = pd.read_parquet(folder / "items.parquet")
    quotas = pd.read_parquet(folder / "quotas.parquet")
    shuffled = items.sample(frac=1, random_state=SEED)
    place = shuffled.groupby(["category", "source"]).cumcount().to_numpy()
    seats = shuffled.merge(quotas, on=["category", "source"])["seats"].to_numpy()
    return len(shuffled[place < seats])


def polars_rank(folder: Path) -> int:
    import polars as pl

    items = pl.read_parquet(folder / "items.parquet")
    quotas = pl.read_parquet(folder / "quotas.parquet")
    place = pl.int_range(pl.len()).shuffle(seed=SEED).rank("ordinal").over("category", "source")
    return len(
        items.with_columns(place=place)
        .join(quotas, on=["category", "source"])
        .filter(pl.col("place") <= pl.col("seats"))
    )


CONTESTANTS: dict[str, Callable[[Path], int]] = {
    "ours": ours,
    "ours, no index": ours_unindexed,
    "definition": definition,
    "pandas head": pandas_head,
    "pandas cumcount": pandas_cumcount,
    "polars rank": polars_rank,
}


def measure(name: str, folder: Path) -> tuple[float, float]:
    """(seconds, peak GB) of one program in a separate process."""
    command = [sys.executable, "-m", "benchmarks.sample_scale", "--run", name, "--folder", str(folder)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds, peak, selected = json.loads(printed)
    assert selected == json.loads((folder / "done.json").read_text()) // 2, (name, selected)
    return seconds, peak


def run(name: str, folder: Path) -> None:
    """Run one program and print its figures as JSON."""
    started = time.perf_counter()
    selected = CONTESTANTS[name](folder)
    seconds = time.perf_counter() - started
    print(json.dumps([seconds, peak_memory(), selected]))


def peak_memory() -> float:
    """GB; from /proc, because getrusage's value is inherited from the parent process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e6


def beside(folder: Path, rows: int) -> None:
    prepare(folder, rows)
    export(folder, rows)
    best: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for name in CONTESTANTS:
            seconds, peak = measure(name, folder)
            fastest, highest = best.get(name, (seconds, peak))
            best[name] = min(fastest, seconds), max(highest, peak)
    print(f"{rows:,} rows, {rows // 2:,} drawn")
    for name, (seconds, peak) in best.items():
        ratio = seconds / best["ours"][0]
        print(f"  {name:16} {seconds:7.2f} s  {ratio:5.2f} x ours  peak {peak:5.2f} GB")


def growth(folder: Path, largest: int) -> None:
    print("growth of ours")
    before: tuple[int, float] | None = None
    rows = 1_000_000
    while rows <= largest:
        place = folder / str(rows)
        prepare(place, rows)
        seconds, peak = min(measure("ours", place) for _ in range(ROUNDS if rows < 10**8 else 1))
        linear = f"{seconds / (before[1] * rows / before[0]):5.2f} x linear" if before else ""
        each = 1e6 * seconds / rows
        print(f"  {rows:12,} rows {seconds:8.2f} s  {each:5.2f} us/row  peak {peak:5.2f} GB  {linear}")
        before = rows, seconds
        rows *= 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000, help="for the comparison")
    parser.add_argument("--largest", type=int, default=100_000_000, help="for the growth")
    parser.add_argument("--folder", type=Path, help="where catalogs are made, and kept")
    parser.add_argument("--run", choices=CONTESTANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run(arguments.run, arguments.folder)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.folder or Path(made)
        beside(folder / str(arguments.rows), arguments.rows)
        growth(folder, arguments.largest)


if __name__ == "__main__":
    main()
