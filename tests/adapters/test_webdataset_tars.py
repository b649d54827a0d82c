"""Both adapters read WebDataset tars like the `webdataset` library."""

from __future__ import annotations

import io
import logging
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from derlem.adapters.archive.adapter import ArchiveAdapter, ArchiveOptions
from derlem.adapters.base import Context
from derlem.adapters.huggingface.adapter import HuggingfaceAdapter
from derlem.adapters.huggingface.dataset_options import HuggingfaceOptions
from derlem.catalog.models import Item, Payload
from derlem.catalog.status import Reason
from derlem.core.workspace import Workspace

Entry = tuple[str, bytes]
Row = tuple[str, bytes, str | None]

TWIN = b"\0\5\x16\7"


def image(name: str) -> bytes:
    return b"\xff\xd8\xff" + name.encode()


def pair(key: str, suffix: str = "jpg") -> list[Entry]:
    return [(f"{key}.{suffix}", image(key)), (f"{key}.txt", f"text of {key}".encode())]


def tar(path: Path, entries: list[Entry]) -> Path:
    with tarfile.open(path, "w") as out:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Workspace(tmp_path / "work"))


def rows(adapter: Any, source: Any) -> tuple[list[Row], list[Item]]:
    """Members with their bytes and captions, and the items that were rejected."""
    items = [item for batch in adapter.discover(source) for item in batch]
    read = dict(adapter.read(source, (item for item in items if item.reason is None)))
    found, rejected = [], []
    for item in items:
        payload = read.get(item.item_id)
        if not isinstance(payload, Payload):
            rejected.append(item)
            continue
        caption = payload.updates.get("caption", item.caption)
        found.append((item.locator.removeprefix("train/"), payload.data, caption))
    return found, rejected


def through_both(context: Context, folder: Path, **options: Any) -> dict[str, tuple[list[Row], list[Item]]]:
    given: dict[str, Any] = {"name": "s", "license": "CC0-1.0"}
    archive = ArchiveOptions.model_validate({**given, "adapter": "archive", "path": str(folder), **options})
    hosted = HuggingfaceOptions.model_validate(
        {**given, "adapter": "huggingface", "dataset": str(folder), "columns": {"caption": "txt"}}
    )
    return {
        "archive": rows(ArchiveAdapter(context), archive),
        "huggingface": rows(HuggingfaceAdapter(context), hosted),
    }


def by_library(path: Path) -> list[tuple[bytes, str | None]]:
    """Images and texts of a shard as grouped by the library."""
    samples = webdataset.WebDataset(str(path), shardshuffle=False, empty_check=False)
    return [
        (sample["jpg"], sample["txt"].decode() if "txt" in sample else None)
        for sample in samples
        if "jpg" in sample
    ]


SHARDS: dict[str, list[Entry]] = {
    "whole": [entry for key in ("a", "b", "c") for entry in pair(key)],
    "one text missing": [*pair("a"), ("b.jpg", image("b")), *pair("c")],
    "the first text missing": [("a.jpg", image("a")), *pair("b"), *pair("c")],
    "a README first": [("README.md", b"# these"), *pair("a"), *pair("b")],
    "a file without a suffix between": [pair("a")[0], ("LICENSE", b"CC0"), pair("a")[1], *pair("b")],
    "texts before their images": [entry for key in ("a", "b") for entry in reversed(pair(key))],
    "macOS twins": [
        twin for key in ("a", "b") for name, data in pair(key) for twin in ((f"._{name}", TWIN), (name, data))
    ],
    "dots in folders": [entry for key in ("v2.0/a", "v2.0/b") for entry in pair(key)],
    "upper case": [("a.JPG", image("a")), ("a.TXT", b"text of a"), *pair("b")],
    "meta members": [("__index__", b"1"), *pair("a"), ("__meta__/x.jpg", image("x")), *pair("b")],
    "one name in two folders": [*pair("x/a"), *pair("y/a")],
}


@pytest.mark.parametrize("shard", SHARDS)
def test_both_adapters_group_like_the_library(shard: str, tmp_path: Path, context: Context) -> None:
    (tmp_path / "data").mkdir()
    path = tar(tmp_path / "data" / "a.tar", SHARDS[shard])
    found = through_both(context, path.parent)
    images = [
        row for row in found["archive"][0] if row[1].startswith(b"\xff\xd8") and "__meta__" not in row[0]
    ]
    assert images == found["huggingface"][0]
    assert [(data, caption) for _, data, caption in images] == by_library(path)


def test_keyless_members_do_not_split_a_sample(tmp_path: Path, context: Context) -> None:
    """The library reads `d/._a.jpg` as a separate sample, and thus loses the text of `d/a.jpg`."""
    (tmp_path / "data").mkdir()
    entries = [twin for name, data in pair("d/a") for twin in ((f"d/._{name[2:]}", TWIN), (name, data))]
    tar(tmp_path / "data" / "a.tar", entries)
    found = through_both(context, tmp_path / "data")
    assert found["huggingface"][0] == [("d/a.jpg", image("d/a"), "text of d/a")]
    assert found["huggingface"][0][0] in found["archive"][0]


def test_a_text_with_the_stem_of_one_image_describes_that_image(tmp_path: Path, context: Context) -> None:
    (tmp_path / "data").mkdir()
    entries = [*pair("v2.0/22.05"), *pair("v2.0/22.06"), *pair("v2.0/23")]
    tar(tmp_path / "data" / "a.tar", entries)
    for found, rejected in through_both(context, tmp_path / "data").values():
        assert [(name, caption) for name, _, caption in found] == [
            (f"v2.0/{key}.jpg", f"text of v2.0/{key}") for key in ("22.05", "22.06", "23")
        ]
        assert not rejected


def test_unpaired_members_are_one_warning(
    tmp_path: Path, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    keys = [f"t{number}" for number in range(5)]
    texts = [pair(key)[1] for key in keys]
    images = [pair(key)[0] for key in keys]
    for name in ("a.tar", "b.tar"):
        tar(tmp_path / "data" / name, texts + images)
    with caplog.at_level(logging.WARNING):
        found = through_both(context, tmp_path / "data")
    for readable, _ in found.values():
        assert [caption for _, data, caption in readable if data.startswith(b"\xff\xd8")] == [None] * 10
    assert {item.reason for item in found["huggingface"][1]} == {Reason.NO_IMAGE}
    warnings = [record.getMessage() for record in caplog.records if "not paired" in record.getMessage()]
    assert len(warnings) == 2 and all("10 texts without an adjacent image" in text for text in warnings)


def test_duplicates_and_sparse_members_are_rejected_alone(
    tmp_path: Path, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    tar(
        tmp_path / "data" / "a.tar",
        [*pair("a"), ("a.jpg", image("again")), ("a.JPG", image("upper")), *pair("b")],
    )
    holes = tmp_path / "c.jpg"
    with holes.open("wb") as out:
        out.write(image("c"))
        out.truncate(2**20)
    (tmp_path / "c.txt").write_text("text of c")
    command = ["tar", "-S", "--format=gnu", "-cf", str(tmp_path / "data" / "b.tar"), "c.jpg", "c.txt"]
    subprocess.run(command, cwd=tmp_path, check=True)
    for found, rejected in through_both(context, tmp_path / "data", webdataset=True).values():
        assert [(name, caption) for name, _, caption in found] == [
            ("a.jpg", "text of a"),
            ("b.jpg", "text of b"),
        ]
        reasons = [item.reason for item in rejected]
        assert reasons == [Reason.DUPLICATE_NAME, Reason.DUPLICATE_NAME, Reason.BAD_MEMBER]


def test_a_truncated_tar_keeps_earlier_samples(tmp_path: Path, context: Context) -> None:
    (tmp_path / "data").mkdir()
    entries = [entry for number in range(6) for entry in pair(f"c{number}")]
    path = tar(tmp_path / "data" / "a.tar", entries)
    path.write_bytes(path.read_bytes()[: 512 * 14 + 700])
    found = through_both(context, tmp_path / "data")
    assert found["archive"][0] == found["huggingface"][0]
    assert len(found["archive"][0]) >= 3
    for _, rejected in found.values():
        assert Reason.BAD_ARCHIVE in [item.reason for item in rejected]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "d.1/a", "d.1/b", "d.1/e/c"]),
            st.sampled_from(["jpg", "txt", "md", "cls"]),
        ),
        max_size=12,
        unique=True,
    )
)
@settings(max_examples=40, deadline=None)
def test_any_order_of_members_is_grouped_like_the_library(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    (folder / "data").mkdir()
    content: dict[str, Callable[[str], bytes]] = {
        "jpg": image,
        "txt": lambda key: f"text of {key}".encode(),
        "md": lambda key: b"# text",
        "cls": lambda key: b"3",
    }
    entries = [
        (f"{key}.{suffix}", content[suffix](key)) for key, suffix in [*members, ("z", "jpg"), ("z", "txt")]
    ]
    path = tar(folder / "data" / "a.tar", entries)
    found = through_both(Context(Workspace(folder / "work")), folder / "data", webdataset=True)
    expected = by_library(path)
    for rows_found, _ in found.values():
        images = [(data, caption) for _, data, caption in rows_found if data.startswith(b"\xff\xd8")]
        assert images == expected
