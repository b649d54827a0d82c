"""`python -m benchmarks [NAME ...]`: run the benchmarks, or those named, one after another.

Each prints its figures beside a baseline measured in the same run; on a noisy machine, compare the ratios.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

BENCHMARKS = {
    "help": "how fast `derlem --help` is beside `import click`",
    "decode_baseline": "normalising a JPEG beside its scaled decode, on one core",
    "ingest_speed": "ingest of JPEGs from a tar beside only their scaled decode",
    "archive_reading": "listing and reading a tar beside tarfile and bare reads",
    "build_speed": "building a corpus beside `cp` of the same bytes",
    "audit_speed": "all audits on a large catalog",
    "pdf_pages": "pages of documents beside pdf2image and xargs pdftocairo",
    "huggingface_throughput": "a hosted dataset beside a bare loop over `datasets` streaming",
    "fetch_img2dataset": "a URL list beside img2dataset, both from nginx on this machine",
    "url_discovery": "listing a million URLs, and listing them again",
    "cookbook": "the questions of the cookbook on ten million items",
    "browse_speed": "pages, filters and thumbnails of `derlem browse` on a large catalog",
    "catalog_growth": "commits, listings and runs in a catalog of ten million items beside one of a million",
    "sample_scale": "drawing a sample of millions beside pandas and polars",
    "sample_extend": "what stays of a sample whose sources grow, extended and drawn anew",
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Run the benchmarks, or those named, one after another.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(
            [
                "benchmarks:",
                *(f"  {name:23} {what}" for name, what in BENCHMARKS.items()),
                "",
                "Run alone (python -m benchmarks.NAME) some take options: see the head of their files.",
            ]
        ),
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    wanted = parser.parse_args().names or list(BENCHMARKS)
    unknown = [name for name in wanted if name not in BENCHMARKS]
    if unknown:  # checked before the first benchmark
        parser.error(f"there is no benchmark {unknown[0]!r} (known: {', '.join(BENCHMARKS)})")
    failed = 0
    for name in wanted:
        print(f"\n== {name}: {BENCHMARKS[name]}", flush=True)
        # not by -m: worker processes would import the benchmark again as their main module
        code = f"import sys; from benchmarks.{name} import main; sys.exit(main())"
        failed |= subprocess.call([sys.executable, "-c", code], cwd=Path(__file__).parent.parent)
    return failed


if __name__ == "__main__":
    sys.exit(main())
