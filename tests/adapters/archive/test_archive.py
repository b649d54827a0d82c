"""Archives as sources: all containers give the same images, in any order and after changes."""

import errno
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from derlem.adapters.archive.adapter import ArchiveAdapter, ArchiveOptions
from derlem.adapters.base import Context
from derlem.adapters.files.adapter import FilesAdapter, FilesOptions
from derlem.catalog.models import Failure, Item, Payload
from derlem.catalog.status import Reason
from derlem.core.errors import ConfigError
from derlem.core.workspace import Workspace
from tests.factories.archives import FORMS, PNG, Entry, pack

Ingest = Callable[..., dict[tuple[str, str], Any]]
Declare = Callable[..., ArchiveOptions]
Rows = Callable[[list[Item]], Iterator[Item]]


@FORMS
@pytest.mark.parametrize("shuffled", [False, True])
def test_all_containers_give_the_same_images(
    ingest: Ingest, tmp_path: Path, images: tuple[Path, list[Entry]], form: str, shuffled: bool
) -> None:
    _, entries = images
    for name, content in entries:
        (tmp_path / "loose" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "loose" / name).write_bytes(content)
    loose = FilesOptions.model_validate(
        {
            "name": "s",
            "adapter": "files",
            "license": "CC0-1.0",
            "path": str(tmp_path / "loose"),
            "category": "clip/{dir}",
            "caption": {"language": "en"},
        }
    )
    adapter = FilesAdapter(Context(Workspace(tmp_path / "work")))
    items = [item for batch in adapter.discover(loose) for item in batch]
    categories = {item.item_id: (item.uri, item.category) for item in items}
    expected = {}
    for item_id, outcome in adapter.read(loose, items):
        assert isinstance(outcome, Payload)
        expected[categories[item_id]] = (outcome.data, outcome.updates.get("caption"))
    if shuffled:  # sidecars far before and after their images
        entries = random.Random(7).sample(entries, len(entries))
    path = pack(tmp_path / f"all.{form}", entries)
    found = ingest(path, category="clip/{dir}", caption={"language": "en"})
    got = {(one.item.locator, one.item.category): (one.data, one.caption) for one in found.values()}
    assert got == expected


def test_folders_and_globs_of_archives(ingest: Ingest, tmp_path: Path) -> None:
    (tmp_path / "data" / "x").mkdir(parents=True)
    pack(tmp_path / "data" / "b.tar.gz", [("1.png", PNG)])
    pack(tmp_path / "data" / "x" / "a.v2.zip", [("f/g/1.png", PNG)])
    (tmp_path / "data" / "notes.txt").write_text("notes")
    (tmp_path / "data" / "out.tar").symlink_to("/etc/hostname")
    template = "{archive_dir}|{archive}|{dir}|{top}|{parent}|{stem}|{ext}"
    found = ingest(tmp_path / "data", category=template)
    assert {key: one.reason for key, one in found.items()} == {
        ("b.tar.gz", "1.png"): None,
        ("notes.txt", ""): Reason.BAD_ARCHIVE,
        ("out.tar", ""): Reason.LINK,
        ("x/a.v2.zip", "f/g/1.png"): None,
    }
    assert found["x/a.v2.zip", "f/g/1.png"].item.category == "x|a|f/g|f|g|1|png"
    globbed = ingest(tmp_path / "data" / "**" / "*.zip")
    assert list(globbed) == [("x/a.v2.zip", "f/g/1.png")]


def test_a_missing_archive_is_a_config_error(ingest: Ingest, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing at"):
        ingest(tmp_path / "none.tar")


@FORMS
def test_any_part_in_any_order(tmp_path: Path, form: str, declare: Declare, rows: Rows) -> None:
    entries = [(f"{number:03}.png", PNG + b"%d" % number + bytes(number * 50)) for number in range(200)]
    source = declare(pack(tmp_path / f"a.{form}", entries))
    adapter = ArchiveAdapter(Context(Workspace(tmp_path / "work")))
    items = [item for batch in adapter.discover(source) for item in batch]
    assert {item.partition_key for item in items} == ({f"a.{form}"} if form.startswith("tar.") else {""})
    some = random.Random(3).sample(items, 20)
    got = dict(adapter.read(source, rows(some)))
    for item in some:
        outcome = got[item.item_id]
        assert isinstance(outcome, Payload)
        assert outcome.data == dict(entries)[item.locator]
    assert list(got) == [item.item_id for item in some]


@FORMS
def test_an_archive_that_changed_or_was_deleted(
    tmp_path: Path, form: str, declare: Declare, rows: Rows
) -> None:
    path = pack(tmp_path / f"a.{form}", [(f"{number}.png", PNG + bytes(900)) for number in range(5)])
    source = declare(path)
    adapter = ArchiveAdapter(Context(Workspace(tmp_path / "work")))
    items = [item for batch in adapter.discover(source) for item in batch]
    pack(path, [(f"{number}.gif", b"GIF89a" + os.urandom(300)) for number in range(9)])
    reasons = {getattr(outcome, "reason", None) for _, outcome in adapter.read(source, rows(items))}
    assert reasons == {Reason.CHANGED}
    path.write_bytes(b"now a text")
    assert {one.reason for _, one in adapter.read(source, rows(items)) if isinstance(one, Failure)} == {
        Reason.BAD_ARCHIVE
    }
    path.unlink()
    assert {one.reason for _, one in adapter.read(source, rows(items)) if isinstance(one, Failure)} == {
        Reason.MISSING
    }


@FORMS
def test_a_transient_disk_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, declare: Declare, rows: Rows
) -> None:
    entries = [(f"{number}.png", PNG + os.urandom(90_000)) for number in range(30)]
    source = declare(pack(tmp_path / f"a.{form}", entries))
    adapter = ArchiveAdapter(Context(Workspace(tmp_path / "work")))
    items = [item for batch in adapter.discover(source) for item in batch]
    pread = os.pread
    calls = iter(range(10**6))

    def failing(handle: int, count: int, at: int) -> bytes:
        if next(calls) == 5:
            raise OSError(errno.EIO, "Input/output error")
        return pread(handle, count, at)

    monkeypatch.setattr(os, "pread", failing)
    got = list(adapter.read(source, rows(items)))
    failures = [outcome for _, outcome in got if isinstance(outcome, Failure)]
    assert [failure.reason for failure in failures] == [Reason.UNREADABLE]
    data = [outcome.data for _, outcome in got if isinstance(outcome, Payload)]
    assert len(data) == 29
    assert set(data) <= {content for _, content in entries}


def test_listing_is_repeatable(tmp_path: Path, images: tuple[Path, list[Entry]], declare: Declare) -> None:
    source = declare(pack(tmp_path / "a.tar.gz", images[1]), category="{dir}", caption={})
    adapter = ArchiveAdapter(Context(Workspace(tmp_path / "work")))
    assert list(adapter.discover(source)) == list(adapter.discover(source))


def test_a_compressed_archive_is_unpacked_once_for_all_its_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declare: Declare, rows: Rows
) -> None:
    source = declare(pack(tmp_path / "a.tar.gz", [(f"{n:03}.png", PNG + bytes(9_000)) for n in range(300)]))
    adapter = ArchiveAdapter(Context(Workspace(tmp_path / "work")))
    items = [item for batch in adapter.discover(source) for item in batch]
    positions: list[int] = []
    pread = os.pread

    def watched(fd: int, count: int, at: int) -> bytes:
        positions.append(at)
        return pread(fd, count, at)

    monkeypatch.setattr(os, "pread", watched)
    assert len(list(adapter.read(source, rows(items)))) == 300
    assert positions.count(0) <= 2  # one read to detect its type, one pass
