"""`derlem browse` on a large catalog: pages of items, random filters, first thumbnails, and memory.

    python -m benchmarks.browse_speed [--rows 10000000] [--folder DIR]

The server runs as a process of its own, and requests go through HTTP on loopback. Pages are read forward,
back and at random places; 200 filters are random combinations of one to three conditions with values of the
catalog and values that do not occur. "bare scan" counts captions with a text in a new DuckDB connection, the
baseline of the filters. Thumbnails come from a second workspace of photographs of 12 megapixels: the time
is that of the page and its first 24 images over six connections, as a browser loads them. Memory is the peak
of the server's process.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import duckdb
import numpy as np
import yaml
from PIL import Image

import derlem

from .sample_scale import prepare

FILTERS = 200
SEED = 7


@contextmanager
def serving(config: Path) -> Iterator[tuple[str, int]]:
    """The address of a server and its process id."""
    command = [sys.executable, "-m", "derlem", "-c", str(config), "browse", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        yield process.stderr.readline().strip().rstrip("/"), process.pid
    finally:
        process.terminate()
        process.communicate(timeout=30)


def get(url: str) -> tuple[float, bytes]:
    started = time.perf_counter()
    with urlopen(url, timeout=120) as answer:
        body: bytes = answer.read()
    return time.perf_counter() - started, body


def configure(folder: Path, path: str) -> Path:
    config = folder / "browse.yaml"
    source = {"name": "photos", "adapter": "files", "path": path, "license": "CC0-1.0"}
    config.write_text(yaml.safe_dump({"workspace": str(folder), "sources": [source]}))
    return config


def random_filters(categories: list[str]) -> Iterator[dict[str, str]]:
    chance = random.Random(SEED)
    values = {
        "source": [f"source-{number}" for number in range(10)] + ["none"],
        "category": [*chance.sample(categories, 40), "c0", "c1", "none"],
        "status": ["ready", "rejected"],
        "license": ["CC0-1.0", "MIT"],
        "language": ["en", "tr"],
        "reason": ["corrupt"],
        "text": ["numbered 1", "99999", "7654321", "none such"],
        "min_side": ["100", "480", "481"],
        "max_side": ["640", "639"],
        "min_bytes": ["35000", "35001"],
    }
    for _ in range(FILTERS):
        names = chance.sample(list(values), chance.randint(1, 3))
        yield {name: chance.choice(values[name]) for name in names}


def pages(address: str, rows: int) -> list[float]:
    """Seconds of 20 pages forward, 10 back, and 30 at random places."""
    chance = random.Random(SEED)
    taken, url = [], "/items"
    for step in range(30):
        seconds, body = get(address + url)
        taken.append(seconds)
        found = re.search(rf'<a rel="{"next" if step < 20 else "prev"}" href="([^"]+)"', body.decode())
        assert found is not None
        url = found[1].replace("&amp;", "&")
    for _ in range(30):
        key = f"{chance.randrange(rows)}~source-3~{chance.getrandbits(128):032x}"
        taken.append(get(f"{address}/items?{urlencode({'after': key})}")[0])
    return taken


def bare_scan(folder: Path) -> float:
    best = []
    for _ in range(3):
        with duckdb.connect(str(folder / "catalog.duckdb"), read_only=True) as connection:
            started = time.perf_counter()
            connection.execute("SELECT count(*) FROM items WHERE contains(caption, 'none such')").fetchall()
            best.append(time.perf_counter() - started)
    return min(best)


def peak(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1e6


def first_thumbnails(folder: Path) -> tuple[float, float]:
    """Seconds of the first page with 24 images of 12 megapixels: thumbnails made, and thumbnails kept."""
    chance = np.random.default_rng(SEED)
    photos = folder / "photos"
    photos.mkdir()
    for number in range(24):
        small = chance.integers(0, 255, (30, 40, 3), dtype=np.uint8)
        out = io.BytesIO()
        Image.fromarray(small).resize((4000, 3000), Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
        (photos / f"{number}.jpg").write_bytes(out.getvalue())
    config = configure(folder, str(photos))
    project = derlem.open(config)
    project.discover()
    project.ingest()
    with serving(config) as (address, _):
        taken = []
        for _ in range(2):
            started = time.perf_counter()
            _, body = get(f"{address}/items")
            images = re.findall(r'src="(/thumbnails/[0-9a-f]+)"', body.decode())
            assert len(images) == 24
            with ThreadPoolExecutor(6) as threads:
                list(threads.map(lambda path: get(address + path), images))
            taken.append(time.perf_counter() - started)
    return taken[0], taken[1]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path)
    given, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary) / "catalog"
        prepare(folder, given.rows)
        config = configure(folder, str(folder))
        scan = bare_scan(folder)
        with serving(config) as (address, pid):
            taken = pages(address, given.rows)
            get(f"{address}/")
            project = derlem.open(config)
            table = project.sql("SELECT DISTINCT category FROM items ORDER BY category")
            filtered = [
                get(f"{address}/items?{urlencode(chosen)}")[0]
                for chosen in random_filters(table.column(0).to_pylist())
            ]
            item = project.sql("SELECT item_id FROM items LIMIT 1").column(0)[0].as_py()
            details = get(f"{address}/items/{item}")[0]
            memory = peak(pid)
        photos = Path(temporary) / "workspace"
        photos.mkdir()
        made, kept = first_thumbnails(photos)
    print(f"{given.rows:,} items")
    print(f"  pages: median {statistics.median(taken) * 1000:.0f} ms, worst {max(taken) * 1000:.0f} ms")
    print(
        f"  {FILTERS} filters: median {statistics.median(filtered) * 1000:.0f} ms, "
        f"worst {max(filtered) * 1000:.0f} ms; bare scan of the captions {scan * 1000:.0f} ms"
    )
    print(f"  one item {details * 1000:.0f} ms; peak memory {memory:.2f} GB")
    print(f"  first page of 24 thumbnails {made * 1000:.0f} ms, the same again {kept * 1000:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
