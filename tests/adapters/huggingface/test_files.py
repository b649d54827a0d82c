"""Files of datasets: cheap listings, damaged files, dataset ids and paths."""

from __future__ import annotations

import bz2
import email.utils
import gzip
import io
import lzma
import shutil
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from pydantic import ValidationError

from derlem.adapters.huggingface.columnar import ParquetRows
from derlem.adapters.huggingface.dataset_options import HuggingfaceOptions
from derlem.adapters.huggingface.hub import wait_seconds
from derlem.adapters.huggingface.image_columns import leaves
from derlem.adapters.registry import adapter_class
from derlem.catalog.models import Payload
from derlem.catalog.status import Reason
from derlem.core.config_values import ConfigStr
from derlem.core.errors import ConfigError, MissingExtra

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor().compress,
}


class Counted(io.BytesIO):
    """Bytes with a count of the bytes read."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


def test_listing_parquet_reads_no_image(shapes: dict[str, Path]) -> None:
    shard = shapes["parquet"] / "data" / "train-00000-of-00002.parquet"
    content = Counted(shard.read_bytes())
    file = ParquetRows(content)
    rows = list(file.rows(leaves(file.schema, {}, None)))
    assert len(rows) == 20 and rows[0].values["caption"] and len(rows[2].values["extra"]) == 2
    assert content.taken < 2**16 + shard.stat().st_size // 10


@pytest.mark.parametrize("packing", PACKERS)
def test_compressed_tars(
    packing: str, shapes: dict[str, Path], tmp_path: Path, use: Callable[..., Any]
) -> None:
    for shard in shapes["webdataset"].iterdir():
        (tmp_path / f"{shard.name}.{packing}").write_bytes(PACKERS[packing](shard.read_bytes()))
    columns = {"caption": "json.caption"}
    files = {"train": f"*.tar.{packing}"}
    plain = use(dataset=shapes["webdataset"], columns=columns)
    packed = use(dataset=tmp_path, columns=columns, data_files=files)
    items = packed.items()
    assert {item.partition_key for item in items} == {item.uri for item in items}
    expected = plain.read(plain.items())
    assert [r.data for r in packed.read(items).values()] == [r.data for r in expected.values()]
    backwards = packed.read(list(reversed(items[::9])))
    assert all(isinstance(result, Payload) for result in backwards.values())


def test_a_zip_of_images(shapes: dict[str, Path], tmp_path: Path, use: Callable[..., Any]) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted((shapes["imagefolder"] / "train").rglob("*")):
            archive.write(path, path.relative_to(shapes["imagefolder"] / "train"))
    columns = {"caption": "caption"}
    used, plain = use(dataset=tmp_path, columns=columns), use(dataset=shapes["imagefolder"], columns=columns)
    items = used.items()
    assert items[0].uri == "all.zip" and items[0].partition_key == "all.zip"
    zipped = sorted((i.caption, r.data) for i, r in zip(items, used.read(items).values(), strict=True))
    items = plain.items()
    assert zipped == sorted(
        (i.caption, r.data) for i, r in zip(items, plain.read(items).values(), strict=True)
    )


@pytest.mark.parametrize("shape", ["parquet", "arrow", "webdataset"])
def test_a_damaged_file_is_an_item_and_the_others_are_listed(
    shape: str, shapes: dict[str, Path], tmp_path: Path, use: Callable[..., Any]
) -> None:
    copy = tmp_path / shape
    shutil.copytree(shapes[shape], copy)
    first, last = sorted(path for path in copy.rglob("train-*") if path.is_file())
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 3])
    items = use(dataset=copy).items()
    damaged = [item for item in items if item.reason is not None]
    *cut, whole = damaged
    assert whole.reason is Reason.BAD_ARCHIVE
    assert [item.reason for item in cut] in ([], [Reason.TRUNCATED] if shape == "webdataset" else [])
    assert whole.uri == last.relative_to(copy).as_posix() and whole.meta["detail"]
    assert len([item for item in items if item.uri == first.relative_to(copy).as_posix()]) == 20


def test_a_file_changed_after_listing_fails_its_items(
    shapes: dict[str, Path], tmp_path: Path, use: Callable[..., Any]
) -> None:
    for shape in ("parquet", "arrow", "webdataset"):
        copy = tmp_path / shape
        shutil.copytree(shapes[shape], copy)
        used = use(dataset=copy)
        items = used.items()
        first = copy / items[0].uri
        first.write_bytes(first.read_bytes()[:5000])
        results = used.read(items)
        reasons = {
            getattr(results[item.item_id], "reason", None) for item in items if item.uri == items[0].uri
        }
        assert reasons == {Reason.CHANGED}
        assert isinstance(results[items[-1].item_id], Payload)


def test_a_damaged_header_is_not_the_end_of_a_tar(
    shapes: dict[str, Path], tmp_path: Path, use: Callable[..., Any]
) -> None:
    shard = next(iter(sorted(shapes["webdataset"].iterdir())))
    items = use(dataset=shapes["webdataset"]).items()
    offset = items[10].locator_state["at"][0] - 512
    data = bytearray(shard.read_bytes())
    data[offset : offset + 512] = b"\x01" * 512
    (tmp_path / "train-00000.tar").write_bytes(data)
    found = use(dataset=tmp_path).items()
    assert found[-1].reason is Reason.BAD_ARCHIVE and 5 < len(found) <= 11


def test_a_dataset_or_a_path(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()

    def dataset(text: str) -> HuggingfaceOptions:
        given = {
            "name": "s",
            "adapter": "huggingface",
            "license": "CC0-1.0",
            "dataset": ConfigStr.of(text, tmp_path),
        }
        return HuggingfaceOptions.model_validate(given)

    assert dataset("org/name").hub_id == "org/name"
    assert dataset("hf://datasets/org/name").hub_id == "org/name"
    assert dataset("hf://datasets/here").hub_id == "here"
    assert (dataset("here").hub_id, dataset("here").dataset) == (None, str(tmp_path / "here"))
    assert dataset("./nowhere").dataset == str(tmp_path / "nowhere")
    assert dataset(str(tmp_path)).hub_id is None
    for wrong in ("a/b/c", "s3://bucket/x", "hf://models/x", "no such thing"):
        with pytest.raises(ValidationError):
            dataset(wrong)


def test_unreadable_datasets_are_errors_before_the_listing(tmp_path: Path, use: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="there is no"):
        use(dataset=tmp_path / "nowhere").items()
    (tmp_path / "x.txt").write_text("no images")
    with pytest.raises(ConfigError, match="text"):
        use(dataset=tmp_path).items()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError):
        use(dataset=tmp_path / "empty").items()


def test_a_missing_library_names_the_command(
    tmp_path: Path, use: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"derlem\[huggingface\]"):
        use(dataset=tmp_path).items()


def test_the_registry_knows_the_adapter() -> None:
    from derlem.adapters.huggingface.adapter import HuggingfaceAdapter

    assert adapter_class("huggingface") is HuggingfaceAdapter


def test_an_arrow_stream_too_large_to_map_is_read_through_by_one_worker(
    shapes: dict[str, Path], use: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    used = use(dataset=shapes["saved"])
    mapped = used.items()
    expected = used.read(mapped)
    monkeypatch.setattr("derlem.adapters.huggingface.columnar.MAPPED_BYTES", 0)
    items = used.items()
    assert {item.partition_key for item in items} == {item.uri for item in items}
    assert [item.item_id for item in items] == [item.item_id for item in mapped]
    assert used.read(items) == expected


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"retry-after": "20"}, 20, 20),
        ({"retry-after": "in half a minute"}, 20, 30),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0, 0),
        ({"retry-after": "soon", "ratelimit": '"api";r=0;t=55'}, 55, 55),
        ({"ratelimit": '"resolvers"; r=0; t=7'}, 7, 7),
        ({}, 8, 8),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], least: float, most: float) -> None:
    if headers.get("retry-after") == "in half a minute":  # a date, from now on
        headers = {"retry-after": email.utils.formatdate(time.time() + 30, usegmt=True)}
    assert least <= wait_seconds(headers, attempt=3) <= most
