"""WebDataset shards: the members of a key are one sample."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import webdataset

from derlem.catalog.status import Reason
from tests.factories.archives import PNG, Entry, pack

Ingest = Callable[..., dict[tuple[str, str], Any]]


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.zst"])
@pytest.mark.parametrize("webdataset_option", [True, "auto"])
def test_webdataset(
    ingest: Ingest,
    tmp_path: Path,
    images: tuple[Path, list[Entry]],
    form: str,
    webdataset_option: object,
) -> None:
    _, entries = images
    contents = [content for name, content in entries if name.endswith(".png")]
    with webdataset.TarWriter(str(tmp_path / "shard.tar"), mtime=0) as writer:
        for number, image in enumerate(contents):
            about = {"caption": f"resim {number}", "language": "tr", "width": 3}
            sample = {"__key__": f"{number:06d}", "png": image, "json": about, "cls": number % 7}
            if number % 2:
                sample["txt"] = f"metin {number}"
            writer.write(sample)
    raw = (tmp_path / "shard.tar").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(raw)) as file:
        members = [(one.name, file.extractfile(one).read()) for one in file]  # type: ignore[union-attr]
    path = pack(tmp_path / f"again.{form}", members)
    found = ingest(path, webdataset=webdataset_option)
    assert [one.data for one in found.values()] == contents
    for number, one in enumerate(found.values()):
        assert one.item.locator == f"{number:06d}.png"
        assert one.caption == (f"metin {number}" if number % 2 else f"resim {number}")
        assert one.columns.get("language", one.item.language) == "tr"
        assert one.meta["cls"] == str(number % 7)


def test_webdataset_samples_of_several_images_and_of_none(ingest: Ingest, tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "<image>?"}, {"from": "gpt", "value": "Kedi."}]
    entries = [
        ("a.input.png", PNG),
        ("a.target.png", PNG),
        ("a.JSON", json.dumps({"caption": "iki", "conversations": turns}).encode()),
        ("b.txt", b"lonely"),
        ("b.json", b"{}"),
        ("c.png", PNG),
        ("nokta", PNG),
        ("c.txt", b"no neighbour"),
    ]
    found = ingest(pack(tmp_path / "a.tar", entries), webdataset=True)
    by_name = {name: one for (_, name), one in found.items()}
    assert {name: one.reason for name, one in by_name.items()} == {
        "a.input.png": None,
        "a.target.png": None,
        "b.txt": Reason.NO_IMAGE,
        "c.png": None,
        "nokta": None,
    }
    assert by_name["a.target.png"].caption == "iki"
    assert by_name["a.input.png"].columns["conversations"][1] == {"role": "assistant", "content": "Kedi."}
    assert by_name["c.png"].caption == "no neighbour"  # a member without a key does not end a sample


def test_auto_does_not_pair_other_tars(ingest: Ingest, tmp_path: Path) -> None:
    entries = [("b.v1.png", PNG), ("b.v2.png", PNG), ("notes.txt", b"notes")]
    found = ingest(pack(tmp_path / "a.tar", entries))
    assert [(one.item.locator, one.reason, one.caption) for one in found.values()] == [
        ("b.v1.png", None, None),
        ("b.v2.png", None, None),
        ("notes.txt", None, None),
    ]


def test_caption_overrides_the_detection_of_webdataset(ingest: Ingest, tmp_path: Path) -> None:
    entries = [("a.json", b'{"alt": "x"}'), ("a.png", PNG), ("a.txt", b"y"), ("b.json", b"{"), ("b.png", PNG)]
    caption = {"sidecar": ".json", "key": "alt"}
    for form in ("tar", "tar.gz", "zip"):
        path = pack(tmp_path / f"a.{form}", entries)
        grouped = ingest(path, webdataset=True, caption=caption)
        assert {name: one.caption for (_, name), one in grouped.items()} == {"a.png": "x", "b.png": None}
        assert grouped[path.name, "b.png"].meta["sidecar"]["reason"] == "bad_sidecar"
        single = ingest(path, caption=caption)
        assert {name: one.caption for (_, name), one in single.items()} == {
            "a.png": "x",
            "a.txt": "x",  # listed as an item; its bytes are checked when read
            "b.png": None,
        }
