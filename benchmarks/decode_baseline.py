"""What normalisation costs on one core over nothing but the scaled decode that validates a JPEG.

    python -m benchmarks.decode_baseline [--pictures 200] [--rounds 5]

The pictures are 640x480 with detail at all scales, about 35 KB each, as web crawls hold them. Both are
measured in turns on the same bytes; the best round of each counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from benchmarks.pictures import photo, scaled_decode
from derlem.media.image import normalise


def seconds_each(work: Callable[[bytes], object], pictures: list[bytes]) -> float:
    """Seconds per picture in one round."""
    start = time.perf_counter()
    for data in pictures:
        work(data)
    return (time.perf_counter() - start) / len(pictures)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    pictures = [photo(seed) for seed in range(arguments.pictures)]
    size = sum(map(len, pictures)) / len(pictures)
    bare = full = float("inf")
    for _ in range(arguments.rounds):
        bare = min(bare, seconds_each(scaled_decode, pictures))
        full = min(full, seconds_each(normalise, pictures))
    print(f"pictures                640x480, {size / 1000:.1f} KB on average")
    print(f"scaled decode alone     {1 / bare:8.0f} images/s per core  {bare * 1e3:.3f} ms")
    print(f"normalise               {1 / full:8.0f} images/s per core  {full * 1e3:.3f} ms")
    print(
        f"overhead                {(full - bare) * 1e3:8.3f} ms per image; {bare / full:.0%} of the bare rate"
    )


if __name__ == "__main__":
    main()
