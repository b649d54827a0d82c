"""Hashes of evaluation pictures are kept as long as the pictures are what they were, and no longer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from derlem.adapters import hashes
from derlem.adapters.base import Context
from derlem.adapters.files import FilesOptions
from derlem.adapters.hashes import PictureHashes, UnreadPictures
from derlem.adapters.huggingface import HuggingfaceOptions
from derlem.adapters.kept_hashes import kept_hashes
from derlem.catalog.workspace import Workspace


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was decoded so far."""
    seen: list[bytes] = []
    normalise = hashes.normalise

    def told(data: bytes, options: Any) -> Any:
        seen.append(data)
        return normalise(data, options)

    monkeypatch.setattr(hashes, "normalise", told)
    return seen


@pytest.fixture
def stamps(material: Callable[[str], Path], tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(material("stamps") / "medical", tmp_path / "stamps"))
    for path in folder.iterdir():
        os.utime(path, (2e9, 1e9))  # long enough ago
    return folder


def hashed(folder: Path, *, keep: bool = True, **settings: Any) -> list[PictureHashes]:
    source = FilesOptions(name="excluded", adapter="files", license="CC0-1.0", path=str(folder))
    context = Context(Workspace(folder.parent / "work"), settings)
    return list(kept_hashes(source, context, keep=keep))


def kept(folder: Path) -> list[Path]:
    return sorted((folder.parent / "work" / "cache" / "hashes").glob("*"))


def test_what_has_not_changed_is_not_decoded_again(stamps: Path, decoded: list[bytes]) -> None:
    first = hashed(stamps)
    count = len(decoded)
    assert count >= len(first) > 3
    assert hashed(stamps) == first
    assert len(decoded) == count
    # the form of the corpus decides over the hashes, its limits do not
    assert hashed(stamps, image={"min_side": 5000}) == first
    assert len(decoded) == count
    assert hashed(stamps, image={"format": "png"}) != first
    assert len(decoded) == 2 * count


@pytest.mark.parametrize("change", ["new", "gone", "renamed", "rewritten", "touched"])
def test_any_change_is_noticed(change: str, stamps: Path, decoded: list[bytes]) -> None:
    first = hashed(stamps)
    picture, other = sorted(path for path in stamps.rglob("*") if path.suffix in (".png", ".jpg"))[:2]
    if change == "new":
        shutil.copy(picture, stamps / f"another{picture.suffix}")
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
    for path in stamps.iterdir():
        if path.stat().st_mtime > 1.7e9:
            os.utime(path, (2e9, 1.5e9))
    decoded.clear()
    again = hashed(stamps)
    assert decoded
    assert (set(again) == set(first)) == (change not in ("gone", "rewritten"))
    decoded.clear()
    assert hashed(stamps) == again and not decoded


def test_what_has_just_changed_is_not_relied_on(stamps: Path, decoded: list[bytes]) -> None:
    picture, other = sorted(stamps.rglob("*.png"))[:2]
    shutil.copyfile(picture, stamps / "new.png")
    hashed(stamps)
    assert not kept(stamps)
    content = other.read_bytes()
    size = (stamps / "new.png").stat().st_size
    before = (stamps / "new.png").stat()
    (stamps / "new.png").write_bytes((content + bytes(size))[:size])
    os.utime(stamps / "new.png", ns=(before.st_atime_ns, before.st_mtime_ns))  # as a coarse clock has it
    decoded.clear()
    hashed(stamps)
    assert decoded


def test_nothing_is_kept_of_what_is_not_asked_for_or_breaks_off(stamps: Path, decoded: list[bytes]) -> None:
    hashed(stamps, keep=False)
    assert not kept(stamps)
    source = FilesOptions(name="excluded", adapter="files", license="CC0-1.0", path=str(stamps))
    begun = kept_hashes(source, Context(Workspace(stamps.parent / "work"), {}), keep=True)
    next(begun)
    begun.close()
    assert not kept(stamps)
    empty = stamps.parent / "empty"
    empty.mkdir()
    with pytest.raises(UnreadPictures):
        hashed(empty)
    assert not kept(stamps)


def test_a_damaged_file_is_made_anew(stamps: Path, decoded: list[bytes]) -> None:
    first = hashed(stamps)
    count = len(decoded)
    (path,) = kept(stamps)
    whole = path.read_bytes()
    place = whole.index(first[1].sha256.encode())
    flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    for damaged in (b"", whole[:100], whole[:-50], flipped):
        path.write_bytes(damaged)
        decoded.clear()
        assert hashed(stamps) == first and len(decoded) == count
        assert path.read_bytes() == whole and kept(stamps) == [path]


def test_a_list_of_pictures_that_lie_elsewhere_is_not_kept(stamps: Path, decoded: list[bytes]) -> None:
    picture = sorted(stamps.rglob("*.png"))[0]
    rows = stamps / "rows.jsonl"
    rows.write_text(f'{{"image": "{picture.relative_to(stamps)}"}}\n')
    source = HuggingfaceOptions(name="excluded", adapter="huggingface", license="CC0-1.0", dataset=str(rows))
    context = Context(Workspace(stamps.parent / "work"), {})
    for _ in range(2):
        decoded.clear()
        assert len(list(kept_hashes(source, context, keep=True))) == len(decoded) == 1
