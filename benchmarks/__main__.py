"""`python -m benchmarks [NAME ...]`: run the benchmarks, or those named, one after another.

Each prints its figures beside a baseline measured in the same run; on a noisy machine the ratio counts.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = {
    "help": "how fast `derlem --help` is beside `import click`",
    "ingest_speed": "ingest of JPEGs from a tar beside nothing but their scaled decode",
}


def main() -> int:
    wanted = sys.argv[1:] or list(BENCHMARKS)
    failed = 0
    for name in wanted:
        if name not in BENCHMARKS:
            print(f"there is no benchmark {name!r} (known: {', '.join(BENCHMARKS)})", file=sys.stderr)
            return 2
        print(f"\n== {name}: {BENCHMARKS[name]}", flush=True)
        module = f"benchmarks.{name}"
        failed |= subprocess.call([sys.executable, "-m", module], cwd=Path(__file__).parent.parent)
    return failed


if __name__ == "__main__":
    sys.exit(main())
