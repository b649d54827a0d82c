"""Building a corpus of 200,000 samples of 35 KB beside `cp -r` of the same bytes, in both formats.

    python -m benchmarks.build_speed [--samples N]

The order of the corpus is random over all segments, like in a drawn sample. derlem plans, splices, hashes
(sha256), fsyncs and describes; `cp` copies the segments' tars sequentially into the page cache. A second
baseline is `cp -r` with a sync, which is as durable as a build. All read from the same page cache in turns;
medians are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from derlem.catalog.connection import write_catalog
from derlem.catalog.segment_files import inspect
from derlem.catalog.segments import merge
from derlem.core.workspace import Workspace
from derlem.corpus.build import build_corpus
from derlem.corpus.corpus_options import CorpusOptions
from derlem.sampling.draw import draw_sample
from derlem.sampling.sample_options import SampleOptions
from tests.factories.catalog import Row, insert_source, item_row
from tests.factories.segments import write_segment

SAMPLES = 200_000
LENGTH = 35_000
PER_SEGMENT = 10_000
ROUNDS = 3
REQUIRED = {"webdataset": 0.50, "parquet": 0.35}


def noise(first: int, last: int) -> Iterator[tuple[Row, bytes]]:
    """Stored items numbered `first` to `last - 1`, each with different incompressible bytes."""
    noise = random.Random(1).randbytes(LENGTH - 8)
    for n in range(first, last):
        data = n.to_bytes(8, "big") + noise
        digest = hashlib.sha256(data).hexdigest()
        row = item_row(
            source="noise", uri=f"{n}.jpg", ordinal=n, category=f"c{n % 7}/d{n % 50}",
            media_type="image/jpeg", sha256=digest, original_sha256=digest, dhash="0" * 16,
            width=640, height=480, bytes=len(data), caption=f"An image of noise, numbered {n}", language="en",
        )  # fmt: skip
        yield row, data


def fill(workspace: Workspace, samples: int) -> None:
    """Create segments of incompressible bytes, their catalog, and a sample of all items in random order."""
    segments = []
    for number, first in enumerate(range(0, samples, PER_SEGMENT)):
        rows = noise(first, min(first + PER_SEGMENT, samples))
        segments.append(inspect(workspace, write_segment(workspace, number, rows, source="noise")))
    with write_catalog(workspace) as connection:
        insert_source(connection, "noise")
        merge(connection, segments)
        draw_sample(connection, SampleOptions(name="bench", seed=1, target=samples), "bench")


def copy(workspace: Workspace) -> tuple[float, float]:
    """Bytes/s of `cp -r` of the segments' tars, without and with a following sync."""
    target = workspace.root / "copy"
    tars = sorted(workspace.store.glob("*/*.tar"))
    size = sum(path.stat().st_size for path in tars)
    target.mkdir()
    os.sync()
    started = time.perf_counter()
    subprocess.run(["cp", "-r", *tars, target], check=True)
    copied = time.perf_counter() - started
    os.sync()
    synced = time.perf_counter() - started
    shutil.rmtree(target)
    return size / copied, size / synced


def build(workspace: Workspace, format: str, workers: int) -> float:
    """Bytes/s of a complete build."""
    os.sync()
    options = CorpusOptions.model_validate({"format": format})
    started = time.perf_counter()
    result = build_corpus(workspace, "bench", options, "bench", workers, lambda *_: None)
    seconds = time.perf_counter() - started
    assert result.rewritten == len(result.shards)
    shutil.rmtree(workspace.corpora)
    return result.bytes / seconds


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=SAMPLES)
    samples = parser.parse_args().samples
    workers = os.cpu_count() or 1
    missed = 0
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        workspace = Workspace(Path(folder) / "work")
        fill(workspace, samples)
        copy(workspace)  # loads the segments into the page cache
        for format, required in REQUIRED.items():
            copies, builds = [], []
            for _ in range(ROUNDS):
                copies.append(copy(workspace))
                builds.append(build(workspace, format, workers))
            copies.append(copy(workspace))
            ours = statistics.median(builds)
            theirs, durable = (statistics.median(rates) for rates in zip(*copies, strict=True))
            print(
                f"{format}: {samples:,} samples of {LENGTH / 1000:.0f} KB with {workers} workers: "
                f"{ours / 1e6:,.0f} MB/s; cp -r {theirs / 1e6:,.0f} MB/s, ratio {ours / theirs:.2f} "
                f"(at least {required:.2f}); cp -r and sync {durable / 1e6:,.0f} MB/s, "
                f"ratio {ours / durable:.2f}",
                flush=True,
            )
            missed += ours / theirs < required
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
