"""Hosted datasets: listing and reading beside a bare loop over `datasets` streaming that only hashes.

    python -m benchmarks.huggingface_throughput [--rows 8000] [--formats parquet arrow webdataset imagefolder]

The images are 35 KB JPEGs, in four files; rows have a class label, a caption and a conversation. derlem runs
discover and read, and hashes every payload; the baseline is `load_dataset(streaming=True)` with
`Image(decode=False)`, and hashes every image. Both run in one process, in turns, with the thresholds of
garbage collection of derlem's commands; the best round is reported. The target is 0.8 of the baseline.
Validation is excluded: decoding an image takes several times longer than both together.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.images import photo
from derlem.adapters.base import Context
from derlem.adapters.huggingface.adapter import HuggingfaceAdapter
from derlem.adapters.huggingface.dataset_options import HuggingfaceOptions
from derlem.catalog.models import Payload
from derlem.core.startup import tune_gc
from derlem.core.workspace import Workspace

FILES = 4
LABELS = ["animal", "building", "plant", "vehicle"]
COLUMNS = {"caption": "caption", "category": "label", "conversations": "conversations"}


def write(form: str, folder: Path, rows: int) -> None:
    """The dataset in one format; images repeat, but their bytes differ."""
    photos = [photo(seed) for seed in range(32)]
    folder.mkdir()
    if form in ("parquet", "arrow"):
        _write_columns(form, folder, photos, rows)
    elif form == "webdataset":
        for shard in range(FILES):
            with tarfile.open(folder / f"train-{shard:05d}.tar", "w") as tar:
                for number in range(shard * rows // FILES, (shard + 1) * rows // FILES):
                    texts = json.dumps(_texts(number)).encode()
                    for name, data in (("jpg", _picture(photos, number)), ("json", texts)):
                        info = tarfile.TarInfo(f"{number:08d}.{name}")
                        info.size = len(data)
                        tar.addfile(info, io.BytesIO(data))
    else:
        lines = []
        for number in range(rows):
            name = f"{number:08d}.jpg"
            (folder / name).write_bytes(_picture(photos, number))
            lines.append(json.dumps({"file_name": name, **_texts(number)}) + "\n")
        (folder / "metadata.jsonl").write_text("".join(lines))


def _write_columns(form: str, folder: Path, photos: list[bytes], rows: int) -> None:
    import datasets

    turn = {"from": datasets.Value("string"), "value": datasets.Value("string")}
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=LABELS),
            "caption": datasets.Value("string"),
            "conversations": datasets.List(turn),
        }
    )
    for shard in range(FILES):
        numbers = range(shard * rows // FILES, (shard + 1) * rows // FILES)
        columns = {name: [_texts(number)[name] for number in numbers] for name in COLUMNS.values()}
        images = [{"bytes": _picture(photos, number), "path": f"{number}.jpg"} for number in numbers]
        part = datasets.Dataset.from_dict({"image": images, **columns}, features=features)
        if form == "parquet":
            part.to_parquet(folder / f"train-{shard:05d}.parquet", batch_size=100)
        else:
            part.save_to_disk(folder / "saved", num_shards=1)
            (folder / "saved" / "data-00000-of-00001.arrow").rename(folder / f"train-{shard:05d}.arrow")
    for path in (folder / "saved").glob("*"):
        path.unlink()
    if (folder / "saved").exists():
        (folder / "saved").rmdir()


def _texts(number: int) -> dict[str, Any]:
    caption = f"A {LABELS[number % 4]} as it was photographed, number {number}"
    question = {"from": "human", "value": "<image>\nWhat does the image show?"}
    return {
        "label": LABELS[number % 4],
        "caption": caption,
        "conversations": [question, {"from": "gpt", "value": caption}],
    }


def _picture(photos: list[bytes], number: int) -> bytes:
    return photos[number % len(photos)] + number.to_bytes(4, "big")


def bare(form: str, folder: Path) -> tuple[int, int]:
    """The baseline: (images, hashed bytes) by `datasets` streaming."""
    import datasets

    rows = datasets.load_dataset(str(folder), split="train", streaming=True).decode(False)
    count = size = 0
    column = "jpg" if form == "webdataset" else "image"
    for row in rows:
        cell = row[column]
        data = cell["bytes"] if cell["bytes"] is not None else Path(cell["path"]).read_bytes()
        hashlib.sha256(data).digest()
        count, size = count + 1, size + len(data)
    return count, size


def ours(form: str, folder: Path) -> tuple[int, int]:
    """Discover and read: (images, hashed bytes)."""
    prefix = "json." if form == "webdataset" else ""
    columns = {key: prefix + name for key, name in COLUMNS.items()}
    source = HuggingfaceOptions.model_validate(
        {
            "name": "b",
            "adapter": "huggingface",
            "license": "CC0-1.0",
            "dataset": str(folder),
            "columns": columns,
        }
    )
    adapter = HuggingfaceAdapter(Context(Workspace(folder.parent / "work")))
    items = [item for batch in adapter.discover(source) for item in batch]
    count = size = 0
    for _, result in adapter.read(source, items):
        if isinstance(result, Payload):
            hashlib.sha256(result.data).digest()
            count, size = count + 1, size + len(result.data)
    return count, size


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=8_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--formats", nargs="+", default=["parquet", "arrow", "webdataset", "imagefolder"], metavar="FORMAT"
    )
    arguments = parser.parse_args()
    tune_gc()
    worst = float("inf")
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["HF_HOME"] = f"{temporary}/hf-home"
        import datasets

        datasets.disable_progress_bars()
        print(f"{'format':<12} {'datasets/s':>11} {'derlem/s':>9} {'ratio':>6}")
        for form in arguments.formats:
            folder = Path(temporary, form)
            write(form, folder, arguments.rows)
            ways: dict[str, Callable[[str, Path], tuple[int, int]]] = {"bare": bare, "ours": ours}
            best = dict.fromkeys(ways, float("inf"))
            seen = set()
            for _ in range(arguments.rounds):
                for name, way in ways.items():
                    begin = time.perf_counter()
                    seen.add(way(form, folder))
                    best[name] = min(best[name], time.perf_counter() - begin)
            if len(seen) != 1:
                print(f"{form}: the results differ: {seen}", file=sys.stderr)
                return 1
            speed = {name: arguments.rows / seconds for name, seconds in best.items()}
            ratio = speed["ours"] / speed["bare"]
            worst = min(worst, ratio)
            print(f"{form:<12} {speed['bare']:>11,.0f} {speed['ours']:>9,.0f} {ratio:>6.2f}", flush=True)
    return 0 if worst >= 0.8 else 1


if __name__ == "__main__":
    sys.exit(main())
