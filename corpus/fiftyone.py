"""Writes a corpus as a folder that FiftyOne imports: images as files, and the JSON of a dataset.

`fiftyone.Dataset.from_json(folder / "samples.json", rel_dir=folder)` reads it. Field names are those of the
record, but for `id`, which FiftyOne gives itself. A record of several images is a sample per image.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.durable import replacing
from .errors import UnreadableCorpus
from .layout import CorpusFolder, shape_of
from .record import record_fields

_RENAMED = {"id": "item_id"}
_KINDS = {pa.string(): "StringField", pa.int64(): "IntField"}

Sample = tuple[dict[str, Any], list[Any]]
"""A record, and the bytes of its images."""


def write_fiftyone(folder: CorpusFolder, stats: dict[str, Any], output: Path) -> int:
    """Write images and JSON to `output`, the JSON last; returns the number of images.

    UnreadableCorpus for a shard that no build wrote.
    """
    shape, form = shape_of(stats["build"]), stats["build"]["format"]
    fields = record_fields(shape, form)
    (output / "data").mkdir(parents=True, exist_ok=True)
    count = 0
    described = {
        "name": folder.name,
        "media_type": "image",
        "sample_fields": {_RENAMED.get(name, name): _field(kind) for name, kind in fields.items()}
        | {"image": "fiftyone.core.fields.IntField"},
    }
    with replacing(output / "samples.json") as file:
        file.write((json.dumps(described)[:-1] + ', "samples": [').encode())
        for record, images in _samples(folder, stats, form):
            names = shape.image_names(record["key"], len(images))
            values = {_RENAMED.get(name, name): record[name] for name in fields}
            for number, (name, data) in enumerate(zip(names, images, strict=True)):
                (output / "data" / name).write_bytes(data)
                sample = {"filepath": f"data/{name}", "tags": [], **values, "image": number}
                file.write((",\n" if count else "\n").encode() + json.dumps(sample).encode())
                count += 1
        file.write(b"\n]}\n")
    return count


def _field(kind: pa.DataType) -> str:
    """The name of a field's type in FiftyOne."""
    prefix = "fiftyone.core.fields."
    if not pa.types.is_list(kind):
        return prefix + _KINDS[kind]
    inner = "DictField" if pa.types.is_struct(kind.value_type) else _KINDS[kind.value_type]
    return f"{prefix}ListField({prefix}{inner})"


def _samples(folder: CorpusFolder, stats: dict[str, Any], form: str) -> Iterator[Sample]:
    read = _tar_samples if form == "webdataset" else _parquet_samples
    for shard in stats["shards"]:
        yield from read(folder.root / shard["file"])


def _tar_samples(path: Path) -> Iterator[Sample]:
    from .shard_scan import BrokenShard, members

    images: list[bytes] = []
    try:
        for name, content in members(path):
            if name.endswith(".json"):
                yield json.loads(bytes(content)), images
                images = []
            else:
                images.append(bytes(content))
    except (BrokenShard, FileNotFoundError) as error:
        raise UnreadableCorpus(path, str(error)) from error


def _parquet_samples(path: Path) -> Iterator[Sample]:
    try:
        with pq.ParquetFile(path) as file:
            column = "images" if "images" in file.schema_arrow.names else "image"
            for batch in file.iter_batches(batch_size=64):
                for row in batch.to_pylist():
                    images = row.pop(column)
                    yield row, [image["bytes"] for image in (images if column == "images" else [images])]
    except (pa.ArrowException, FileNotFoundError) as error:
        raise UnreadableCorpus(path, str(error)) from error
