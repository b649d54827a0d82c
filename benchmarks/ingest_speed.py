"""Ingest of 10,000 JPEGs (640x480, 35 KB) from a tar beside only their scaled decode on all cores.

Ours is the whole `ingest` stage: worker start, reading, validation, two hashes, dhash, segments with fsync,
commits. The baseline decodes the same bytes from memory, without any of that. In turns; medians.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path

import derlem
from benchmarks.images import photo, scaled_decode
from derlem.pipeline.executors.fork_server import warm_up

IMAGES = 10_000
DISTINCT = 200
ROUNDS = 3


def decode_share(images: list[bytes]) -> float:
    begun = time.perf_counter()
    for data in images:
        scaled_decode(data)
    return time.perf_counter() - begun


def bare_rate(images: list[bytes], workers: int) -> float:
    """Images/s of only the scaled decode, without the start of the processes."""
    shares = [images * (IMAGES // len(images) // workers)] * workers
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        slowest = max(pool.map(decode_share, shares, chunksize=1))
    return len(shares[0]) * workers / slowest


def ingest_rate(tar: Path, folder: Path) -> float:
    """Images/s of the ingest stage."""
    source = {"name": "photos", "adapter": "archive", "path": str(tar), "license": "CC0-1.0"}
    project = derlem.Project({"workspace": str(folder), "sources": [source]})
    warm_up(["archive"])  # as `derlem run` does
    project.discover()
    begun = time.perf_counter()
    result = project.ingest()
    seconds = time.perf_counter() - begun
    assert result.statuses["ready"] == IMAGES
    return IMAGES / seconds


def main() -> None:
    workers = len(os.sched_getaffinity(0))
    images = [photo(seed) for seed in range(DISTINCT)]
    with tempfile.TemporaryDirectory() as temporary:
        tar = Path(temporary) / "photos.tar"
        with tarfile.open(tar, "w") as archive:
            for number in range(IMAGES):
                data = images[number % DISTINCT]
                info = tarfile.TarInfo(f"{number:06d}.jpg")
                info.size = len(data)
                archive.addfile(info, BytesIO(data))
        bare, ours = [], []
        for number in range(ROUNDS):
            bare.append(bare_rate(images, workers))
            ours.append(ingest_rate(tar, Path(temporary) / f"work-{number}"))
    ratio = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
    print(f"scaled decode alone     {statistics.median(bare):8.0f} images/s on {workers} cores")
    print(f"ingest from a tar       {statistics.median(ours):8.0f} images/s")
    print(f"ratio                   {ratio:8.0%}   (wanted: 60 %)")


if __name__ == "__main__":
    main()
