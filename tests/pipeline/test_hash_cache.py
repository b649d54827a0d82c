"""Hashes of evaluation images are cached until the images change."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from derlem.adapters.base import Context
from derlem.adapters.files.adapter import FilesOptions
from derlem.adapters.huggingface.dataset_options import HuggingfaceOptions
from derlem.core.workspace import Workspace
from derlem.media.image import normalize
from derlem.media.image_options import ImageOptions
from derlem.pipeline.evaluation_hashes import ImageHashes, UnreadImages
from derlem.pipeline.hash_cache import cached_hashes


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The decoded bytes."""
    seen: list[bytes] = []

    def counted(data: bytes, options: Any) -> Any:
        seen.append(data)
        return normalize(data, options)

    monkeypatch.setattr("derlem.pipeline.evaluation_hashes.normalize", counted)
    return seen


@pytest.fixture
def images(demo: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(demo / "clipart" / "food" / "fruit", tmp_path / "fruit"))
    for path in folder.iterdir():
        os.utime(path, (2e9, 1e9))  # older than the resolution of time stamps
    return folder


def hashed(folder: Path, *, keep: bool = True, **image: Any) -> list[ImageHashes]:
    source = FilesOptions(name="excluded", adapter="files", license="CC0-1.0", path=str(folder))
    context = Context(Workspace(folder.parent / "work"))
    return list(cached_hashes(source, context, ImageOptions(**image), keep=keep))


def kept(folder: Path) -> list[Path]:
    return sorted((folder.parent / "work" / "cache" / "hashes").glob("*"))


def test_unchanged_images_are_not_decoded_again(images: Path, decoded: list[bytes]) -> None:
    first = hashed(images)
    count = len(decoded)
    assert count >= len(first) == 3
    assert hashed(images) == first
    assert len(decoded) == count
    # hashes depend on the form of the corpus, and not on its limits
    assert hashed(images, min_side=5000) == first
    assert len(decoded) == count
    assert hashed(images, format="png") != first
    assert len(decoded) == 2 * count


@pytest.mark.parametrize("change", ["new", "gone", "renamed", "rewritten", "touched"])
def test_any_change_is_detected(change: str, images: Path, decoded: list[bytes]) -> None:
    first = hashed(images)
    image, other = sorted(path for path in images.rglob("*") if path.suffix in (".png", ".jpg"))[:2]
    if change == "new":
        shutil.copy(image, images / f"another{image.suffix}")
    elif change == "gone":
        image.unlink()
    elif change == "renamed":
        image.rename(image.with_stem("other"))
    elif change == "rewritten":
        status = image.stat()
        image.write_bytes(other.read_bytes()[: status.st_size])
        os.truncate(image, status.st_size)
    else:
        os.utime(image, (2e9, 1.6e9))
    for path in images.iterdir():
        if path.stat().st_mtime > 1.7e9:
            os.utime(path, (2e9, 1.5e9))
    decoded.clear()
    again = hashed(images)
    assert decoded
    assert (set(again) == set(first)) == (change not in ("gone", "rewritten"))
    decoded.clear()
    assert hashed(images) == again and not decoded


def test_recently_changed_files_are_not_cached(images: Path, decoded: list[bytes]) -> None:
    image, other = sorted(images.rglob("*.png"))[:2]
    shutil.copyfile(image, images / "new.png")
    hashed(images)
    assert not kept(images)
    content = other.read_bytes()
    size = (images / "new.png").stat().st_size
    before = (images / "new.png").stat()
    (images / "new.png").write_bytes((content + bytes(size))[:size])
    os.utime(images / "new.png", ns=(before.st_atime_ns, before.st_mtime_ns))  # as with a coarse clock
    decoded.clear()
    hashed(images)
    assert decoded


def test_hashes_are_cached_only_on_request_and_when_complete(images: Path, decoded: list[bytes]) -> None:
    hashed(images, keep=False)
    assert not kept(images)
    source = FilesOptions(name="excluded", adapter="files", license="CC0-1.0", path=str(images))
    partial = cached_hashes(source, Context(Workspace(images.parent / "work")), ImageOptions(), keep=True)
    next(partial)
    partial.close()  # type: ignore[attr-defined]  # a generator
    assert not kept(images)
    empty = images.parent / "empty"
    empty.mkdir()
    with pytest.raises(UnreadImages):
        hashed(empty)
    assert not kept(images)


def test_a_damaged_cache_file_is_computed_again(images: Path, decoded: list[bytes]) -> None:
    first = hashed(images)
    count = len(decoded)
    (path,) = kept(images)
    whole = path.read_bytes()
    place = whole.index(first[1].sha256.encode())
    flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    for damaged in (b"", whole[:100], whole[:-50], flipped):
        path.write_bytes(damaged)
        decoded.clear()
        assert hashed(images) == first and len(decoded) == count
        assert path.read_bytes() == whole and kept(images) == [path]


def hosted(dataset: Path, workspace: Path) -> list[ImageHashes]:
    source = HuggingfaceOptions(
        name="excluded", adapter="huggingface", license="CC0-1.0", dataset=str(dataset)
    )
    return list(cached_hashes(source, Context(Workspace(workspace)), ImageOptions(), keep=True))


def test_a_dataset_on_disk(images: Path, tmp_path: Path, decoded: list[bytes]) -> None:
    for text in images.glob("*.txt"):
        text.unlink()
    first = hosted(images, tmp_path / "work")
    assert len(first) == len(decoded) == 3
    assert hosted(images, tmp_path / "work") == first and len(decoded) == 3
    image = sorted(images.iterdir())[0]
    os.utime(image, (2e9, 1.1e9))
    assert hosted(images, tmp_path / "work") == first and len(decoded) == 6
    image.rename(tmp_path / "elsewhere.png")
    image.symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(UnreadImages, match="leads out"):
        hosted(images, tmp_path / "work")


def test_hashes_of_a_list_of_images_are_not_cached(
    images: Path, tmp_path: Path, decoded: list[bytes]
) -> None:
    image = sorted(images.glob("*.png"))[0]
    rows = images / "rows.jsonl"
    rows.write_text(f'{{"image": "{image.name}"}}\n')
    os.utime(rows, (2e9, 1e9))
    for _ in range(2):
        decoded.clear()
        assert len(hosted(rows, tmp_path / "work")) == len(decoded) == 1
    assert not (tmp_path / "work" / "cache").exists()
