"""Hashes of evaluation pictures are kept as long as the pictures are what they were, and no longer."""

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
    """What was decoded so far."""
    seen: list[bytes] = []

    def told(data: bytes, options: Any) -> Any:
        seen.append(data)
        return normalize(data, options)

    monkeypatch.setattr("derlem.pipeline.evaluation_hashes.normalize", told)
    return seen


@pytest.fixture
def pictures(demo: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(demo / "clipart" / "food" / "fruit", tmp_path / "fruit"))
    for path in folder.iterdir():
        os.utime(path, (2e9, 1e9))  # long enough ago
    return folder


def hashed(folder: Path, *, keep: bool = True, **image: Any) -> list[ImageHashes]:
    source = FilesOptions(name="excluded", adapter="files", license="CC0-1.0", path=str(folder))
    context = Context(Workspace(folder.parent / "work"))
    return list(cached_hashes(source, context, ImageOptions(**image), keep=keep))


def kept(folder: Path) -> list[Path]:
    return sorted((folder.parent / "work" / "cache" / "hashes").glob("*"))


def test_what_has_not_changed_is_not_decoded_again(pictures: Path, decoded: list[bytes]) -> None:
    first = hashed(pictures)
    count = len(decoded)
    assert count >= len(first) == 3
    assert hashed(pictures) == first
    assert len(decoded) == count
    # the form of the corpus decides over the hashes, its limits do not
    assert hashed(pictures, min_side=5000) == first
    assert len(decoded) == count
    assert hashed(pictures, format="png") != first
    assert len(decoded) == 2 * count


@pytest.mark.parametrize("change", ["new", "gone", "renamed", "rewritten", "touched"])
def test_any_change_is_noticed(change: str, pictures: Path, decoded: list[bytes]) -> None:
    first = hashed(pictures)
    picture, other = sorted(path for path in pictures.rglob("*") if path.suffix in (".png", ".jpg"))[:2]
    if change == "new":
        shutil.copy(picture, pictures / f"another{picture.suffix}")
    elif change == "gone":
        picture.unlink()
    elif change == "renamed":
        picture.rename(picture.with_stem("other"))
    elif change == "rewritten":
        status = picture.stat()
        picture.write_bytes(other.read_bytes()[: status.st_size])
        os.truncate(picture, status.st_size)
    else:
        os.utime(picture, (2e9, 1.6e9))
    for path in pictures.iterdir():
        if path.stat().st_mtime > 1.7e9:
            os.utime(path, (2e9, 1.5e9))
    decoded.clear()
    again = hashed(pictures)
    assert decoded
    assert (set(again) == set(first)) == (change not in ("gone", "rewritten"))
    decoded.clear()
    assert hashed(pictures) == again and not decoded


def test_what_has_just_changed_is_not_relied_on(pictures: Path, decoded: list[bytes]) -> None:
    picture, other = sorted(pictures.rglob("*.png"))[:2]
    shutil.copyfile(picture, pictures / "new.png")
    hashed(pictures)
    assert not kept(pictures)
    content = other.read_bytes()
    size = (pictures / "new.png").stat().st_size
    before = (pictures / "new.png").stat()
    (pictures / "new.png").write_bytes((content + bytes(size))[:size])
    os.utime(pictures / "new.png", ns=(before.st_atime_ns, before.st_mtime_ns))  # as a coarse clock has it
    decoded.clear()
    hashed(pictures)
    assert decoded


def test_nothing_is_kept_of_what_is_not_asked_for_or_breaks_off(pictures: Path, decoded: list[bytes]) -> None:
    hashed(pictures, keep=False)
    assert not kept(pictures)
    source = FilesOptions(name="excluded", adapter="files", license="CC0-1.0", path=str(pictures))
    begun = cached_hashes(source, Context(Workspace(pictures.parent / "work")), ImageOptions(), keep=True)
    next(begun)
    begun.close()  # type: ignore[attr-defined]  # a generator
    assert not kept(pictures)
    empty = pictures.parent / "empty"
    empty.mkdir()
    with pytest.raises(UnreadImages):
        hashed(empty)
    assert not kept(pictures)


def test_a_damaged_file_is_made_anew(pictures: Path, decoded: list[bytes]) -> None:
    first = hashed(pictures)
    count = len(decoded)
    (path,) = kept(pictures)
    whole = path.read_bytes()
    place = whole.index(first[1].sha256.encode())
    flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    for damaged in (b"", whole[:100], whole[:-50], flipped):
        path.write_bytes(damaged)
        decoded.clear()
        assert hashed(pictures) == first and len(decoded) == count
        assert path.read_bytes() == whole and kept(pictures) == [path]


def hosted(dataset: Path, workspace: Path) -> list[ImageHashes]:
    source = HuggingfaceOptions(
        name="excluded", adapter="huggingface", license="CC0-1.0", dataset=str(dataset)
    )
    return list(cached_hashes(source, Context(Workspace(workspace)), ImageOptions(), keep=True))


def test_a_dataset_on_disk(pictures: Path, tmp_path: Path, decoded: list[bytes]) -> None:
    for text in pictures.glob("*.txt"):
        text.unlink()
    first = hosted(pictures, tmp_path / "work")
    assert len(first) == len(decoded) == 3
    assert hosted(pictures, tmp_path / "work") == first and len(decoded) == 3
    picture = sorted(pictures.iterdir())[0]
    os.utime(picture, (2e9, 1.1e9))
    assert hosted(pictures, tmp_path / "work") == first and len(decoded) == 6
    picture.rename(tmp_path / "elsewhere.png")
    picture.symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(UnreadImages, match="leads out"):
        hosted(pictures, tmp_path / "work")


def test_a_list_of_pictures_is_not_kept(pictures: Path, tmp_path: Path, decoded: list[bytes]) -> None:
    picture = sorted(pictures.glob("*.png"))[0]
    rows = pictures / "rows.jsonl"
    rows.write_text(f'{{"image": "{picture.name}"}}\n')
    os.utime(rows, (2e9, 1e9))
    for _ in range(2):
        decoded.clear()
        assert len(hosted(rows, tmp_path / "work")) == len(decoded) == 1
    assert not (tmp_path / "work" / "cache").exists()
