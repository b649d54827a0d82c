"""Rows of a sample that are kept when its sources grow by 10 %, twice: with `--extend`, and in a new draw.

    python -m benchmarks.sample_extend [--rows 1000000]

The target grows with the sources. In a new draw with the same seed, each stratum prefers the same items, but
new items with smaller keys replace some of them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from derlem.catalog.connection import write_catalog
from derlem.core.workspace import Workspace
from derlem.sampling.diff import diff_manifests
from derlem.sampling.draw import draw_sample
from derlem.sampling.sample_options import SampleOptions

from . import synthetic_catalog


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        synthetic_catalog.make(workspace, rows)
        with write_catalog(workspace) as connection:
            draw_sample(connection, SampleOptions(name="grown-0", seed=42, target=rows // 2), "bench")
        for step in (1, 2):
            before, after = int(rows * 1.1 ** (step - 1)), int(rows * 1.1**step)
            synthetic_catalog.grow(workspace, before, after)
            earlier = f"grown-{step - 1}"
            options = SampleOptions(name=f"grown-{step}", seed=42, target=after // 2, extend=earlier)
            with write_catalog(workspace) as connection:
                started = time.perf_counter()
                draw_sample(connection, options, "bench")
                seconds = time.perf_counter() - started
                draw_sample(connection, options.model_copy(update={"name": "anew", "extend": None}), "bench")
                for name, label in ((options.name, "extended"), ("anew", "drawn anew")):
                    root = diff_manifests(connection, earlier, name).nodes[0]
                    kept = 100 * root.stayed / (root.stayed + root.went)
                    print(f"{after:10,} rows, {label:10}: {kept:7.3f} % kept, {root.went:,} went")
                print(f"  extended in {seconds:.2f} s")


if __name__ == "__main__":
    main()
