"""Archives as sources: all containers give the same images, and every entry has an outcome."""

import bz2
import errno
import gzip
import io
import json
import lzma
import os
import random
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import webdataset
import zstandard

from derlem.adapters.archive.adapter import ArchiveAdapter, ArchiveOptions
from derlem.adapters.base import Context
from derlem.adapters.files.adapter import FilesAdapter, FilesOptions
from derlem.catalog.models import Failure, Item, Payload
from derlem.catalog.status import Reason
from derlem.core.errors import ConfigError
from derlem.core.workspace import Workspace

PNG = b"\x89PNG\r\n\x1a\n"
Entry = tuple[str, bytes]
Ingest = Callable[..., dict[tuple[str, str], Any]]
Declare = Callable[..., ArchiveOptions]
Rows = Callable[[list[Item]], Iterator[Item]]


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, 1),
    ".bz2": lambda data: bz2.compress(data, 1),
    ".xz": lambda data: lzma.compress(data, preset=0),
    ".zst": lambda data: zstandard.compress(data, 1),
}


def pack(path: Path, entries: list[Entry]) -> Path:
    """Write a tar, compressed as its name indicates, or a zip."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in entries:
                zipped.writestr(name, content)
        return path
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    path.write_bytes(PACKERS.get(path.suffix, bytes)(buffer.getvalue()))
    return path


FORMS = pytest.mark.parametrize("form", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"])


@pytest.fixture(scope="session")
def images(clipart: Path) -> tuple[Path, list[Entry]]:
    """Sixty images with their texts, by path in a folder."""
    paths = [path for path in sorted(clipart.rglob("*")) if path.suffix in (".png", ".txt")][:120]
    return clipart, [(path.relative_to(clipart).as_posix(), path.read_bytes()) for path in paths]


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


HOSTILE: list[Entry] = [
    ("good.png", PNG + b"1"),
    ("../up.png", PNG),
    ("/root.png", PNG),
    ("a/../../b.png", PNG),
    ("..\\up.png", PNG),
    ("C:\\root.png", PNG),
    ("good.png", PNG + b"2"),
    ("good.png", PNG + b"3"),
    ("empty.png", b""),
    ("nested.zip", b"PK\3\4" + bytes(50)),
    ("nested.png", b"\x1f\x8b\x08" + bytes(50)),
    ("large.png", bytes(5_000)),
    ("a..b/...png", PNG + b"4"),
    ("Good.png", PNG + b"5"),
]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@FORMS
def test_hostile_members_are_rejected_alone(ingest: Ingest, tmp_path: Path, form: str) -> None:
    before = set(tmp_path.rglob("*"))
    path = pack(tmp_path / f"bad.{form}", HOSTILE)
    found = ingest(path, limits={"member_bytes": 4_999})
    assert {name: one.reason or one.data for (_, name), one in found.items()} == {
        "good.png": PNG + b"1",
        "../up.png": Reason.UNSAFE_PATH,
        "/root.png": Reason.UNSAFE_PATH,
        "a/../../b.png": Reason.UNSAFE_PATH,
        "..\\up.png": Reason.UNSAFE_PATH,
        "C:\\root.png": Reason.UNSAFE_PATH,
        "good.png\\#2": Reason.DUPLICATE_NAME,
        "good.png\\#3": Reason.DUPLICATE_NAME,
        "empty.png": Reason.EMPTY,
        "nested.zip": Reason.NESTED_ARCHIVE,
        "nested.png": Reason.NESTED_ARCHIVE,
        "large.png": Reason.TOO_MANY_BYTES,
        "a..b/...png": PNG + b"4",
        "Good.png": PNG + b"5",
    }
    assert all(one.meta["detail"] for one in found.values() if one.reason)
    assert set(tmp_path.rglob("*")) - before == {path}


def test_names_that_are_not_text(ingest: Ingest, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    names = ["k\udcfd.png", "k\\xfd.png", "", "e\u0301.png", "\u00e9.png"]
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as file:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 9
            file.addfile(info, io.BytesIO(PNG + b"x"))
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    found = ingest(tmp_path / "a.tar", category="{stem}")
    assert [one.item.locator for one in found.values()] == [
        "k\\xfd.png",
        "k\\\\xfd.png",
        "\\#2",
        "e\u0301.png",
        "\u00e9.png",
    ]
    assert found["a.tar", "\\#2"].reason is Reason.DUPLICATE_NAME
    assert found["a.tar", "k\\xfd.png"].data == PNG + b"x"


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_archive_keeps_earlier_members(
    ingest: Ingest, tmp_path: Path, form: str, share: float
) -> None:
    entries = [(f"{number:03}.png", PNG + os.urandom(20_000)) for number in range(100)]
    path = pack(tmp_path / f"cut.{form}", entries)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    found = ingest(path)
    whole = found.pop((path.name, ""))
    assert whole.reason is Reason.BAD_ARCHIVE
    landed = [one.data for one in found.values() if not one.reason]
    assert landed == [content for _, content in entries[: len(landed)]]
    assert abs(len(landed) - 100 * share) < 60 * (form == "tar.bz2") + 8
    assert {one.reason for one in found.values()} <= {None, Reason.TRUNCATED, Reason.BAD_ARCHIVE}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.tar", b"", Reason.BAD_ARCHIVE),
        ("a.tar", bytes(10_240), Reason.EMPTY),
        ("a.zip", b"PK\5\6" + bytes(18), Reason.EMPTY),
        ("a.zip", b"PK\3\4 but no zip", Reason.BAD_ARCHIVE),
        ("a.tar.gz", b"\x1f\x8b\x08\0", Reason.BAD_ARCHIVE),
        ("a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(99), Reason.BAD_ARCHIVE),
        ("README.md", b"# text", Reason.BAD_ARCHIVE),
    ],
)
def test_files_that_are_not_archives_are_rejected(
    ingest: Ingest, tmp_path: Path, name: str, content: bytes, reason: Reason
) -> None:
    (tmp_path / name).write_bytes(content)
    found = ingest(tmp_path / name)
    assert {key: one.reason for key, one in found.items()} == {(name, ""): reason}


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


def test_every_entry_of_hostile_tars_has_an_outcome(ingest: Ingest, material: Callable[[str], Path]) -> None:
    found = ingest(material("libarchive-c") / "tests/data", webdataset=False)
    reasons = {key: one.reason for key, one in found.items()}
    assert reasons["flags.tar", "../python-libarchive-c-test-dot-dot-file"] is Reason.UNSAFE_PATH
    assert reasons["flags.tar", "/tmp/python-libarchive-c-test-absolute-file"] is Reason.UNSAFE_PATH
    assert reasons["special.tar", "2-SYMTYPE"] is Reason.LINK
    assert reasons["special.tar", "3-CHRTYPE"] is Reason.SPECIAL_FILE
    assert reasons["testtar.tar", "gnu/sparse"] is Reason.BAD_MEMBER
    assert reasons["testtar.tar", "ustar/regtype"] is None
    for one in found.values():
        assert one.data or one.reason


def test_malformed_images_keep_their_bytes(
    ingest: Ingest, tmp_path: Path, material: Callable[[str], Path]
) -> None:
    root = material("pillow") / "Tests/images"
    paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
    with tarfile.open(tmp_path / "pillow.tar", "w") as file:
        for path in paths:
            file.add(path, path.relative_to(root))
    found = ingest(tmp_path / "pillow.tar", webdataset=False)
    assert len(found) == len(paths)
    for path in paths:
        one = found["pillow.tar", path.relative_to(root).as_posix()]
        if one.reason is None:
            assert one.data == path.read_bytes()
        else:
            assert one.reason in (Reason.EMPTY, Reason.NESTED_ARCHIVE, Reason.TOO_MANY_BYTES)


def test_bombs_stay_small(tmp_path: Path) -> None:
    """With 48 MiB free, a hundred megabytes of zeros in every container are skipped or rejected."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("bombs.py")), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcomes = {tuple(line.split()[:3]): line.split()[3] for line in done.stdout.splitlines()}
    for ratio in ("200", "1000000000"):
        for form in ("gz", "bz2", "xz", "zst"):
            assert outcomes[ratio, f"bomb.tar.{form}", "good.png"] == "ok"
            assert outcomes[ratio, f"bomb.tar.{form}", "bomb.png"] == "too_many_bytes"
            stopped = outcomes.get((ratio, f"bomb.tar.{form}", "-"))
            assert stopped == ("archive_bomb" if ratio == "200" else None)
            assert outcomes[ratio, f"late.tar.{form}", "good.png"] == "ok"
            assert outcomes[ratio, f"late.tar.{form}", "-"] == "bad_archive"
        assert outcomes[ratio, "pax.tar", "good.png"] == "ok"
        for name in ("bomb.zip", "small.zip", "large.zip"):
            assert outcomes[ratio, name, "good.png"] == "ok"
            assert outcomes[ratio, name, "bomb.png"] in ("archive_bomb", "too_many_bytes", "bad_member")
