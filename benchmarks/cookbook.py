"""The questions of docs/howto/cookbook.md on a synthetic catalog of ten million items, with a drawn manifest.

    python -m benchmarks.cookbook [--rows 10000000] [--folder DIR]

Each query runs as `derlem sql` runs it: the catalog is opened, restricted, queried and closed. The time is
the best of three with a warm page cache, beside a count with a predicate on the same table. The bound is
5 s per query.
--folder stores the catalog for later runs.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

from derlem.catalog.connection import create_views, read_catalog, transaction, write_catalog
from derlem.catalog.user_queries import fetch_rows
from derlem.core.workspace import Workspace
from derlem.sampling.draw import draw_sample
from derlem.sampling.sample_options import SampleOptions

from .sample_scale import prepare

BOUND = 5.0
PAGE = Path(__file__).parent.parent / "docs" / "howto" / "cookbook.md"
BASELINE = "SELECT count(*) FROM items WHERE caption LIKE '%7%'"


def prepared(folder: Path, rows: int) -> Workspace:
    """A workspace with `rows` items and two manifests, of a half and a quarter of them."""
    prepare(folder, rows)
    workspace = Workspace(folder)
    with write_catalog(workspace) as connection:
        with transaction(connection):
            create_views(connection)
        for name, target in (("tr-vlm-v1", rows // 2), ("tr-vlm-v2", rows // 4)):
            draw_sample(connection, SampleOptions(name=name, seed=1, target=target), "bench")
    return workspace


def seconds(workspace: Workspace, text: str) -> float:
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        fetch_rows(workspace, text)
        best = min(best, time.perf_counter() - started)
    return best


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where the catalog is made, and kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        workspace = prepared(arguments.folder or Path(made), arguments.rows)
        with read_catalog(workspace) as connection:
            found = connection.execute("SELECT min(item_id) FROM manifest_items").fetchall()
        recipes = re.findall(r"^### (.*?)\n```sql\n(.*?)```", PAGE.read_text("utf-8"), re.M | re.S)
        slowest = 0.0
        print(f"{arguments.rows:,} items; one scan of the captions: {seconds(workspace, BASELINE):.2f} s")
        for question, text in recipes:
            needed = seconds(workspace, text.replace("0123456789abcdef0123456789abcdef", found[0][0]))
            slowest = max(slowest, needed)
            print(f"  {needed:6.2f} s  {question}", flush=True)
        print(f"{len(recipes)} questions, the slowest {slowest:.2f} s (bound {BOUND:.0f} s)")
    return int(slowest >= BOUND)


if __name__ == "__main__":
    sys.exit(main())
