"""The zip reader equals zipfile on valid zips, detects false headers, and rejects only damaged members."""

import io
import lzma
import struct
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from derlem.adapters.archive import zip
from derlem.adapters.archive.containers import Zip
from derlem.adapters.archive.members import ArchiveError, ArchiveLimits, Member, Place
from derlem.catalog.models import Failure
from derlem.catalog.status import Reason

LIMITS = ArchiveLimits()
Contents = dict[str, bytes | Reason]


def opened(raw: bytes, limits: ArchiveLimits = LIMITS) -> tuple[list[Member], Contents, ArchiveError | None]:
    """Members, their data or reasons, and the error of the archive or None."""
    found: list[Member] = []
    error = None
    contents: Contents = {}
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.flush()
        try:
            found += zip.members(file.fileno(), len(raw), limits)
        except ArchiveError as problem:
            error = problem
        for member in found:
            if member.reason is not None:
                contents[member.name] = member.reason
                continue
            outcome = zip.read(file.fileno(), member.place)
            contents[member.name] = outcome.reason if isinstance(outcome, Failure) else outcome
    return found, contents, error


def write(contents: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        file.comment = comment
        for name, content in contents.items():
            file.writestr(name, content)
    return buffer.getvalue()


GOOD = {"a.png": b"a" * 1_000, "klasör/b.png": bytes(range(256)) * 40, "c": b""}


@pytest.mark.parametrize("method", [0, 8, 12, 14])
def test_methods(method: int) -> None:
    _, contents, error = opened(write(GOOD, method))
    assert contents == GOOD
    assert error is None


@pytest.mark.parametrize("prefix", [b"", b"#!/bin/sh\nan unpacker\n" * 100])
@pytest.mark.parametrize("comment", [b"", b"PK\5\6 is no end" + bytes(40)])
def test_data_before_and_after_a_zip(prefix: bytes, comment: bytes) -> None:
    assert opened(prefix + write(GOOD, comment=comment))[1] == GOOD


def test_directories_are_not_members() -> None:
    assert opened(write({"d/": b"", "d/a": b"1"}))[1] == {"d/a": b"1"}


def test_an_empty_zip() -> None:
    assert opened(write({})) == ([], {}, None)


@given(st.dictionaries(st.text("abş/. é", min_size=1), st.binary(max_size=300), max_size=6), st.booleans())
def test_agrees_with_zipfile(contents: dict[str, bytes], stored: bool) -> None:
    raw = write(contents, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        wanted = {one.filename: file.read(one) for one in file.infolist() if not one.is_dir()}
    found = opened(raw)[1]
    assert {name: found[name] for name in wanted} == wanted
    assert all(name.endswith("/") for name in found.keys() - wanted.keys())


def test_zip64() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, file.open("large", "w", force_zip64=True) as member:
        member.write(b"not so large")
    assert opened(buffer.getvalue())[1] == {"large": b"not so large"}


@pytest.mark.parametrize(
    ("method", "packed"),
    [(93, zstandard.compress(b"x" * 999)), (95, lzma.compress(b"x" * 999))],
)
def test_methods_that_zipfile_does_not_write(method: int, packed: bytes) -> None:
    content = b"x" * 999
    entry: dict[str, int | bytes] = {"method": method, "data": packed, "size": len(content)}
    assert opened(crafted({**entry, "check": zlib.crc32(content)}))[1] == {"a": content}


def crafted(*entries: dict[str, int | bytes], patch: Callable[[bytearray], None] | None = None) -> bytes:
    """A zip with arbitrary fields. `at` shares another entry's bytes."""
    body, directory = bytearray(), bytearray()
    for entry in entries:
        name, data = entry.get("name", b"a"), entry.get("data", b"abc")
        assert isinstance(name, bytes)
        assert isinstance(data, bytes)
        method = entry.get("method", 0)
        flags, made_by = entry.get("flags", 0), entry.get("made_by", 3)
        check, packed = entry.get("check", zlib.crc32(data)), entry.get("packed", len(data))
        size, mode = entry.get("size", len(data)), entry.get("mode", 0o100644)
        extra = entry.get("extra", b"")
        assert isinstance(extra, bytes)
        assert isinstance(made_by, int)
        assert isinstance(mode, int)
        at = entry.get("at", len(body))
        if "at" not in entry:
            common = (20, entry.get("local_flags", flags), method, 0, 0, check, packed, size)
            body += struct.pack("<4s5H3I2H", b"PK\3\4", *common, len(name), 0) + name + data
        directory += (
            struct.pack("<4s2H", b"PK\1\2", made_by << 8, 20)
            + struct.pack("<4H3I", flags, method, 0, 0, check, packed, size)
            + struct.pack("<5H2I", len(name), len(extra), 0, 0, 0, mode << 16, at)
            + name
            + extra
        )
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(entries), len(entries), len(directory), len(body), 0)
    raw = body + directory + end
    if patch:
        patch(raw)
    return bytes(raw)


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


LAST: dict[str, int | bytes] = {"name": b"good", "data": b"fine"}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"mode": 0o120777}, Reason.LINK),
        ({"mode": 0o020644}, Reason.SPECIAL_FILE),
        ({"mode": 0o010644}, Reason.SPECIAL_FILE),
        ({"flags": 1}, Reason.ENCRYPTED),
        ({"flags": 0x41}, Reason.ENCRYPTED),
        ({"local_flags": 1}, Reason.ENCRYPTED),
        ({"method": 99}, Reason.ENCRYPTED),
        ({"method": 9}, Reason.BAD_MEMBER),
        ({"method": 1}, Reason.BAD_MEMBER),
        ({"check": 7}, Reason.BAD_MEMBER),
        ({"size": 4}, Reason.BAD_MEMBER),
        ({"packed": 2**31}, Reason.BAD_MEMBER),
        ({"at": 2**31}, Reason.BAD_MEMBER),
        ({"at": 2**32 - 1}, Reason.BAD_MEMBER),
        ({"size": 2**32 - 1, "method": 8, "data": deflated(b"abc")}, Reason.BAD_MEMBER),
        ({"size": 2**32 - 1, "extra": b"\1\0\xff\xff"}, Reason.BAD_MEMBER),
        ({"method": 8, "data": b"no deflate"}, Reason.BAD_MEMBER),
        (
            {"method": 8, "data": deflated(b"x" * 99), "size": 98, "check": zlib.crc32(b"x" * 98)},
            Reason.BAD_MEMBER,
        ),
        ({"method": 8, "data": deflated(b"x" * 99), "size": 100}, Reason.BAD_MEMBER),
        ({"method": 8, "data": deflated(bytes(2**25)), "size": 2**25}, Reason.ARCHIVE_BOMB),
        ({"method": 8, "data": deflated(bytes(2**25)), "size": 1}, Reason.BAD_MEMBER),
        ({"method": 14, "data": b"\0\0\5\0\x5d\xff\xff\xff\xff" + bytes(9), "size": 9}, Reason.BAD_MEMBER),
        ({"method": 14, "data": b"\0\0\5\0\xff\0\0\0\0" + bytes(9), "size": 9}, Reason.BAD_MEMBER),
        ({"method": 14, "data": b"\0"}, Reason.BAD_MEMBER),
        ({"method": 12, "data": b"BZh9junk"}, Reason.BAD_MEMBER),
        ({"method": 93, "data": b"junk"}, Reason.BAD_MEMBER),
        ({"method": 95, "data": b"junk"}, Reason.BAD_MEMBER),
    ],
)
def test_a_bad_member_is_rejected_alone(entry: dict[str, int | bytes], reason: Reason) -> None:
    _, contents, error = opened(crafted({"name": b"bad", **entry}, LAST))
    assert contents == {"bad": reason, "good": b"fine"}
    assert error is None


def test_an_entry_without_its_local_header() -> None:
    raw = crafted({"name": b"bad"}, LAST).replace(b"PK\3\4", b"PK\7\7", 1)
    assert opened(raw)[1] == {"bad": Reason.MISSING, "good": b"fine"}


def test_members_that_share_their_bytes_are_a_bomb() -> None:
    kernel = deflated(bytes(10_000))
    one: dict[str, int | bytes] = {"name": b"0", "method": 8, "data": kernel, "size": 10_000}
    one["check"] = zlib.crc32(bytes(10_000))
    copies = [{**one, "name": b"%d" % number, "at": 0} for number in range(1, 5_000)]
    found, contents, _ = opened(crafted(one, *copies, LAST))
    assert contents["0"] == bytes(10_000)
    assert contents["good"] == b"fine"
    assert sum(member.reason is Reason.ARCHIVE_BOMB for member in found) == 4_999


def test_nested_overlap_as_in_fifield() -> None:
    """Each member's data begins with the local headers of the following members."""
    inner = crafted({"name": b"in", "data": b"kernel"})
    at = inner.index(b"PK\3\4")
    outer: dict[str, int | bytes] = {"name": b"out", "data": inner[: inner.index(b"PK\1\2")]}
    shared: dict[str, int | bytes] = {"name": b"in", "data": b"kernel", "at": 30 + 3 + at}
    _, contents, _ = opened(crafted(outer, shared, LAST))
    assert contents["in"] is Reason.ARCHIVE_BOMB
    assert contents["out"] == outer["data"]
    assert contents["good"] == b"fine"


def test_total_and_member_limits() -> None:
    raw = write(dict.fromkeys("abcd", b"x" * 100), zipfile.ZIP_STORED)
    _, contents, _ = opened(raw, ArchiveLimits.model_validate({"archive_bytes": 250}))
    assert [contents[name] for name in "abcd"] == [b"x" * 100] * 2 + [Reason.ARCHIVE_BOMB] * 2


def cut_directory(raw: bytearray) -> None:
    at = raw.rindex(b"PK\1\2")
    raw[at : at + 4] = b"junk"


def second_disk(raw: bytearray) -> None:
    raw[-18] = 1


def lost_directory(raw: bytearray) -> None:
    raw[-10:-2] = b"\xff\0\0\0\xff\xff\0\0"


@pytest.mark.parametrize(
    ("patch", "survivors"), [(cut_directory, ["a"]), (second_disk, []), (lost_directory, [])]
)
def test_a_damaged_directory(patch: Callable[[bytearray], None], survivors: list[str]) -> None:
    found, contents, error = opened(crafted({}, LAST, patch=patch))
    assert [member.name for member in found] == survivors
    assert all(contents[name] == b"abc" for name in survivors)
    assert error is not None
    assert error.reason is Reason.BAD_ARCHIVE


def test_truncated() -> None:
    assert opened(write(GOOD)[:-30])[2] is not None


@pytest.mark.parametrize(
    ("raw", "flags", "expected"),
    [
        ("ığüş".encode(), 0x0800, "ığüş"),
        ("ığüş".encode(), 0, "ığüş"),
        ("é".encode("cp437"), 0, "é"),
        (b"\xff\xfe", 0x0800, "\udcff\udcfe"),
    ],
)
def test_names(raw: bytes, flags: int, expected: str) -> None:
    found, _, _ = opened(crafted({"name": raw, "flags": flags}))
    assert found[0].name == expected


@pytest.mark.parametrize("encoding", ["cp857", "cp1254", "cp866", "cp437"])
@pytest.mark.parametrize("declared", [False, True])
def test_names_of_other_code_pages(
    encoding: str, declared: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = {
        "cp857": ["çiçek/gül.png", "ağaç/ışık.png", "kuş/Ş.png"],
        "cp1254": ["çiçek/gül.png", "ağaç/ışık.png", "kuş/Ş.png"],
        "cp866": ["фото/птица.png", "город.png"],
        "cp437": ["é.png", "Größe/ü.png"],
    }[encoding]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for at, name in enumerate(names):
            file.writestr(chr(65 + at) * len(name.encode(encoding)), b"x")
        file.writestr("plain.png", b"x")
    data = buffer.getvalue()
    for at, name in enumerate(names):
        raw = name.encode(encoding)
        data = data.replace(bytes([65 + at]) * len(raw), raw)
    (tmp_path / "a.zip").write_bytes(data)
    with (tmp_path / "a.zip").open("rb") as opened:
        found = zip.members(opened.fileno(), len(data), ArchiveLimits(), encoding if declared else None)
        assert [member.name for member in found] == [*names, "plain.png"]
    assert len(caplog.records) == (encoding != "cp437" and not declared)


def test_a_damaged_local_header_is_final(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.png", b"x" * 10)
        file.writestr("b.png", b"y" * 10)
    data = bytearray(path.read_bytes())
    data[:4] = b"PK\3\5"
    path.write_bytes(data)
    with path.open("rb") as opened:
        container = Zip(opened.fileno(), len(data), ArchiveLimits())
        first, second = container.read([member.place for member in container.members()])
        assert isinstance(first, Failure) and first.reason is Reason.BAD_MEMBER
        assert second == b"y" * 10
        (gone,) = container.read([Place(5, 10, 0)])
        assert isinstance(gone, Failure) and gone.reason is Reason.MISSING


def test_a_unicode_path_field_applies_only_to_its_name() -> None:
    def field(name: bytes) -> bytes:
        content = b"\1" + zlib.crc32(name).to_bytes(4, "little") + "ığ".encode()
        return struct.pack("<2H", 0x7075, len(content)) + content

    found, _, _ = opened(
        crafted({"name": b"ig", "extra": field(b"ig")}, {"name": b"x", "extra": field(b"y")})
    )
    assert [member.name for member in found] == ["ığ", "x"]


def test_real_names(material: Callable[[str], Path]) -> None:
    folder = material("libarchive-c") / "tests/data"
    for name in ("unicode.zip", "unicode2.zip", "프로그램.zip"):
        found, _, _ = opened((folder / name).read_bytes())
        names = {unicodedata.normalize("NFC", member.name) for member in found}
        assert names in ({"a/grün.png"}, {"hello.txt", "프로그램.txt"})


SEED = crafted(
    {"name": b"stored"}, {"name": b"deflated", "method": 8, "data": deflated(b"x" * 500), "size": 500}, LAST
)


@given(
    st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), max_size=10),
    st.integers(0, len(SEED)),
)
def test_mutated_zips_give_members_or_an_archive_error(changes: list[tuple[int, int]], length: int) -> None:
    raw = bytearray(SEED)
    for at, value in changes:
        raw[at] = value
    found, contents, error = opened(bytes(raw[:length] if length % 2 else raw))
    assert len(found) <= len(SEED)
    for member in found:
        content = contents[member.name]
        assert isinstance(content, Reason) or len(content) == member.place.size
    assert error is None or error.reason is Reason.BAD_ARCHIVE


@given(st.binary(max_size=500))
def test_any_bytes_end_in_an_error_or_nothing(raw: bytes) -> None:
    found, _, error = opened(raw)
    assert found == []
    assert error is not None
