"""What normalisation costs on one core over nothing but the scaled decode that validates a JPEG.

    python benchmarks/decode_baseline.py [--pictures 200] [--rounds 5]

The pictures are 640x480 with detail at all scales, about 35 KB each, as web crawls hold them. Both are
measured in turns on the same bytes; the best round of each counts.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from derlem.adapters.image import normalise


def photo(seed: int, width: int = 640, height: int = 480) -> bytes:
    """A JPEG of about 35 KB with the spectrum of a photograph, always the same for a seed."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (4, 16, 64, 160):
        noise = Image.fromarray(
            rng.integers(0, 256, (max(2, cells * height // width), cells, 3), dtype=np.uint8)
        )
        total += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), float) / cells**0.5
    total -= total.min()
    buffer = io.BytesIO()
    Image.fromarray((total * (255 / total.max())).astype(np.uint8)).save(buffer, "JPEG", quality=79)
    return buffer.getvalue()


def scaled_decode(data: bytes) -> None:
    """All coefficients decoded, an eighth of the pixels: what catches every truncation."""
    image = Image.open(io.BytesIO(data))
    image.draft("L", (image.width // 8, image.height // 8))
    image.load()


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
