"""Sources of records that tests edit: each kind's writer and declaration, and a fetcher without a network."""

from __future__ import annotations

import csv
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from derlem.catalog.models import Failure, Item, Payload


@dataclass(frozen=True)
class Record:
    """A record of a source: its name, the color and side of its image, its caption."""

    name: str
    color: int
    side: int
    caption: str

    @property
    def url(self) -> str:
        """The URL of its image, which other records of the same color and side share."""
        return f"https://images.test/{self.color}/{self.side}"

    @property
    def image(self) -> bytes:
        out = io.BytesIO()
        Image.new("RGB", (self.side, self.side), (self.color % 256, self.color // 256, 7)).save(out, "PNG")
        return out.getvalue()


Declare = Callable[[Path, bool], dict[str, Any]]
"""The declaration of a source in this folder, with or without captions."""


def write_images(folder: Path, records: list[Record]) -> None:
    for path in folder.iterdir():
        path.unlink()
    for record in records:
        (folder / f"{record.name}.png").write_bytes(record.image)


def write_files(folder: Path, records: list[Record]) -> None:
    write_images(folder, records)
    for record in records:
        (folder / f"{record.name}.txt").write_text(record.caption)


def write_zip(folder: Path, records: list[Record]) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w") as packed:
        for record in records:
            packed.writestr(f"{record.name}.png", record.image)
            packed.writestr(f"{record.name}.txt", record.caption)


def write_tar(folder: Path, records: list[Record], name: str = "a.tar") -> None:
    with tarfile.open(folder / name, "w:gz" if name.endswith("gz") else "w") as packed:
        for record in records:
            for suffix, data in (("png", record.image), ("txt", record.caption.encode())):
                member = tarfile.TarInfo(f"{record.name}.{suffix}")
                member.size = len(data)
                packed.addfile(member, io.BytesIO(data))


def write_packed_tar(folder: Path, records: list[Record]) -> None:
    write_tar(folder, records, "a.tar.gz")


def write_parquet(folder: Path, records: list[Record]) -> None:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {
        "image": pa.array([{"bytes": record.image, "path": None} for record in records], image),
        "text": pa.array([record.caption for record in records], pa.string()),
        "key": pa.array([record.name for record in records], pa.string()),
    }
    pq.write_table(pa.table(columns), folder / "rows.parquet", row_group_size=3)


def local(adapter: str, path: str, **options: Any) -> Declare:
    """A declaration of files or archives, with or without captions."""

    def declare(folder: Path, captions: bool) -> dict[str, Any]:
        caption = {"caption": {"sidecar": ".txt" if captions else ".none"}}
        return {"adapter": adapter, "path": str(folder / path), **options, **caption}

    return declare


def rows(image: str = "image", caption: str = "text", files: str | None = None, **columns: str) -> Declare:
    """A declaration of rows of data files, or of the samples of WebDataset tars."""

    def declare(folder: Path, captions: bool) -> dict[str, Any]:
        named = {"image": image, **columns} | ({"caption": caption} if captions else {})
        chosen = {"data_files": files} if files else {}
        return {"adapter": "huggingface", "dataset": str(folder), "columns": named, **chosen}

    return declare


def write_json(folder: Path, records: list[Record], name: str = "rows.json") -> None:
    """Rows that name images in the same folder."""
    write_images(folder, records)
    rows = [json.dumps({"image": f"{record.name}.png", "text": record.caption}) for record in records]
    joined = "[" + ",".join(rows) + "]" if name.endswith(".json") else "\n".join(rows)
    (folder / name).write_text(joined)


def write_jsonl(folder: Path, records: list[Record]) -> None:
    write_json(folder, records, "rows.jsonl")


def write_csv_list(folder: Path, records: list[Record]) -> None:
    with (folder / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("url", "text"), *((record.url, record.caption) for record in records)])


def write_jsonl_list(folder: Path, records: list[Record]) -> None:
    rows = [json.dumps({"url": record.url, "text": record.caption}) + "\n" for record in records]
    (folder / "list.jsonl").write_text("".join(rows))


def write_parquet_list(folder: Path, records: list[Record]) -> None:
    columns = {
        "url": pa.array([record.url for record in records], pa.string()),
        "text": pa.array([record.caption for record in records], pa.string()),
    }
    pq.write_table(pa.table(columns), folder / "list.parquet", row_group_size=3)


def urls(name: str) -> Declare:
    """A declaration of a list of URLs."""

    def declare(folder: Path, captions: bool) -> dict[str, Any]:
        columns = {"url": "url"} | ({"caption": "text"} if captions else {})
        return {"adapter": "urls", "path": str(folder / name), "columns": columns}

    return declare


class OfflineFetcher:
    """Gives for each URL the image of the record that has it, without a network."""

    def __init__(self, context: object, limits: object) -> None: ...

    def fetch(self, items: Iterable[Item]) -> Iterator[tuple[str, Payload | Failure]]:
        for item in items:
            color, side = map(int, re.findall(r"\d+", item.uri))
            yield item.item_id, Payload(Record("", color, side, "").image)


KINDS: dict[str, tuple[Callable[[Path, list[Record]], None], Declare]] = {
    "files": (write_files, local("files", "")),
    "zip": (write_zip, local("archive", "a.zip")),
    "tar": (write_tar, local("archive", "a.tar", webdataset=False)),
    "packed tar": (write_packed_tar, local("archive", "a.tar.gz", webdataset=False)),
    "parquet": (write_parquet, rows()),
    "parquet with keys": (write_parquet, rows(key="key")),
    "json": (write_json, rows(files="rows.json")),
    "jsonl": (write_jsonl, rows(files="rows.jsonl")),
    "webdataset": (write_tar, local("archive", "a.tar", webdataset=True)),
    "packed webdataset": (write_packed_tar, local("archive", "a.tar.gz", webdataset=True)),
    "webdataset rows": (write_tar, rows("png", "txt")),
    "CSV of URLs": (write_csv_list, urls("list.csv")),
    "JSONL of URLs": (write_jsonl_list, urls("list.jsonl")),
    "Parquet of URLs": (write_parquet_list, urls("list.parquet")),
}
