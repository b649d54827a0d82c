"""The time of normalization on one core beside only the scaled decode that validates a JPEG.

    python -m benchmarks.decode_baseline [--images 200] [--rounds 5]

The images are 640x480 with detail at all scales, about 35 KB each, like images of web crawls. Both are
measured in turns on the same bytes; the best round of each is reported.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from benchmarks.images import photo, scaled_decode
from derlem.media.image import normalize


def seconds_each(work: Callable[[bytes], object], images: list[bytes]) -> float:
    """Seconds per image in one round."""
    start = time.perf_counter()
    for data in images:
        work(data)
    return (time.perf_counter() - start) / len(images)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    images = [photo(seed) for seed in range(arguments.images)]
    size = sum(map(len, images)) / len(images)
    bare = full = float("inf")
    for _ in range(arguments.rounds):
        bare = min(bare, seconds_each(scaled_decode, images))
        full = min(full, seconds_each(normalize, images))
    print(f"images                640x480, {size / 1000:.1f} KB on average")
    print(f"scaled decode alone     {1 / bare:8.0f} images/s per core  {bare * 1e3:.3f} ms")
    print(f"normalize               {1 / full:8.0f} images/s per core  {full * 1e3:.3f} ms")
    print(
        f"overhead                {(full - bare) * 1e3:8.3f} ms per image; {bare / full:.0%} of the bare rate"
    )


if __name__ == "__main__":
    main()
