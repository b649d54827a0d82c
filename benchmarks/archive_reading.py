"""Listing and reading archives beside a minimal implementation: tarfile's listing, plain reads of the bytes.

    python -m benchmarks.archive_reading [--members 10000]

The tar contains JPEG-like members of about 35 KB, each with a caption. In turns; the best of five
rounds is reported. All reads hit the page cache, so that the difference is derlem's work per item.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from derlem.adapters.archive.adapter import ArchiveAdapter, ArchiveOptions
from derlem.adapters.base import Context
from derlem.catalog.models import Item
from derlem.core.workspace import Workspace

ROUNDS = 5


def write_tar(path: Path, members: int) -> None:
    """Write a tar of images and captions in twenty folders."""
    noise = random.Random(1).randbytes(2**16)
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as file:
        for number in range(members // 2):
            stem = f"{number % 20:02}/{number:07}"
            image = b"\xff\xd8\xff" + noise[number % 997 : number % 997 + 30_000 + number % 10_000]
            for name, content in ((f"{stem}.jpg", image), (f"{stem}.txt", b"a caption of an image")):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "images.tar")
        write_tar(path, arguments.members)
        adapter = ArchiveAdapter(Context(Workspace(Path(folder, "work"))))
        declared = {"name": "b", "adapter": "archive", "license": "CC0-1.0", "path": str(path)}
        source = ArchiveOptions.model_validate({**declared, "category": "{dir}"})

        def discover() -> list[Item]:
            return [item for batch in adapter.discover(source) for item in batch]

        items = discover()
        for item in items:
            item.locator_state = json.loads(json.dumps(item.locator_state))
        handle = os.open(path, os.O_RDONLY)
        places = [
            place
            for item in items
            for place in (item.locator_state["member"], item.locator_state["sidecars"][0][1:])
        ]

        def listed_by_tarfile() -> None:
            with tarfile.open(path) as file:
                file.getmembers()

        works: dict[str, tuple[Callable[[], object], int]] = {
            "discover": (discover, arguments.members),
            "tarfile.getmembers": (listed_by_tarfile, arguments.members),
            "read, with captions": (lambda: [0 for _ in adapter.read(source, iter(items))], len(items)),
            "bare pread of the same": (
                lambda: [len(os.pread(handle, size, at)) for at, size, *_ in places],
                len(items),
            ),
        }
        best = dict.fromkeys(works, float("inf"))
        for _ in range(ROUNDS):
            for name, (work, _) in works.items():
                started = time.perf_counter()
                work()
                best[name] = min(best[name], time.perf_counter() - started)
        for name, (_, count) in works.items():
            print(f"{name:24}{best[name] * 1e3:8.0f} ms   {best[name] / count * 1e6:6.1f} us each of {count}")
        extra = best["read, with captions"] - best["bare pread of the same"]
        print(f"overhead of read        {extra / len(items) * 1e6:8.1f} us per item (aim: under 30)")


if __name__ == "__main__":
    main()
