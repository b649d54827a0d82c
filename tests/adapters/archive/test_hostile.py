"""Hostile and damaged archives: bad members are rejected alone, and every entry has an outcome."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from derlem.catalog.status import Reason
from tests.factories.archives import FORMS, PNG, Entry, pack

Ingest = Callable[..., dict[tuple[str, str], Any]]


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
