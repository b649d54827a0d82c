"""Discovering a list of 1,000,000 URLs in Parquet, and discovering it again.

    python -m benchmarks.url_discovery [--rows N]

Each is a whole `derlem discover`; peak memory is the maximum over its processes.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ROWS = 1_000_000
LIMITS = {"first": 60.0, "again": 30.0}
MEMORY = 1e9


def write_list(path: Path, rows: int) -> None:
    """URLs on a thousand hosts, with captions, labels and one additional column."""
    schema = pa.schema([(name, pa.string()) for name in ("url", "alt", "label")] + [("score", pa.float64())])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, 100_000):
            numbers = range(first, min(first + 100_000, rows))
            columns = {
                "url": [f"https://images-{n % 1000}.example.org/{n // 9}/image-{n}.jpg" for n in numbers],
                "alt": [f"A caption of ordinary length for the image with the number {n}" for n in numbers],
                "label": [f"kind-{n % 20}/part-{n % 300}" for n in numbers],
                "score": [n / rows for n in numbers],
            }
            writer.write_table(pa.table(columns, schema=schema))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    missed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_list(folder / "urls.parquet", rows)
        columns = {"url": "url", "caption": "alt", "category": "label"}
        source = {"name": "web", "adapter": "urls", "path": "urls.parquet", "columns": columns}
        config = {"workspace": "work", "sources": [{**source, "license": "LicenseRef-Unknown"}]}
        (folder / "derlem.yaml").write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "derlem", "-c", str(folder / "derlem.yaml")]
        for name, limit in LIMITS.items():
            started = time.perf_counter()
            messages = subprocess.run(
                [*command, "discover"], check=True, capture_output=True, text=True
            ).stderr
            seconds = time.perf_counter() - started
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
            last = messages.strip().splitlines()[-1]
            print(
                f"{name:6} {seconds:5.1f} s (at most {limit:.0f} s), peak {peak / 1e9:.2f} GB "
                f"(at most {MEMORY / 1e9:.0f} GB): {last}",
                flush=True,
            )
            missed += seconds > limit or peak > MEMORY
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
