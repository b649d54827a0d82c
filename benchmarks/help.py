"""`derlem --help` beside `python -c "import click"`: medians of 15 runs each, in turns."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ALLOWED = "2x and 50 ms"


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    derlem = [str(Path(sys.executable).with_name("derlem")), "--help"]
    click = [sys.executable, "-c", "import click"]
    pairs = [(seconds(derlem), seconds(click)) for _ in range(16)][1:]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"derlem --help           {ours * 1e3:6.0f} ms")
    print(f"import click            {theirs * 1e3:6.0f} ms")
    print(f"ratio                   {ours / theirs:6.2f}   (allowed: {ALLOWED} = {theirs * 2e3 + 50:.0f} ms)")


if __name__ == "__main__":
    main()
