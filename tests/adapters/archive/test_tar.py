"""The tar reader equals tarfile on valid tars, and reports an error for invalid tars."""

import io
import os
import random
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem.adapters.archive import tar
from derlem.adapters.archive.members import ArchiveError, Member
from derlem.adapters.archive.streams import PlainFile
from derlem.catalog.status import Reason

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


class Memory:
    """A stream over bytes that counts the requested bytes."""

    def __init__(self, data: bytes) -> None:
        self.position = 0
        self.largest = 0
        self._data = data

    def take(self, count: int) -> bytes:
        assert count >= 0
        self.largest = max(self.largest, count)
        taken = self._data[self.position : self.position + count]
        self.position += len(taken)
        return taken

    def skip(self, count: int) -> int:
        assert count >= 0
        there = min(count, len(self._data) - self.position)
        self.position += there
        return there


def scan(data: bytes, *, known_size: bool = True) -> tuple[list[Member], ArchiveError | None]:
    found: list[Member] = []
    stream = Memory(data)
    try:
        found += tar.members(stream, len(data) if known_size else None)
    except ArchiveError as error:
        return found, error
    finally:
        assert stream.largest <= tar.MAX_EXTENDED + tar.BLOCK
    return found, None


def write(*members: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT, encoding: str = "utf-8") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=form, encoding=encoding, errors="surrogateescape"
    ) as file:
        for member in members:
            file.addfile(member, io.BytesIO(bytes(member.size)) if member.isreg() else None)
    return buffer.getvalue()


def info(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, **pax: str) -> tarfile.TarInfo:
    one = tarfile.TarInfo(name)
    one.size, one.type, one.pax_headers = size, kind, pax
    return one


def header(name: bytes = b"a.png", size: bytes = b"00000000003\0", kind: bytes = b"0") -> bytes:
    """A header block with any fields and a correct checksum."""
    block = bytearray(512)
    block[: len(name)] = name
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    block[257:265] = b"ustar\00000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def data(content: bytes = b"abc") -> bytes:
    return content + bytes(-len(content) % 512)


END = bytes(1024)


def expected(file: tarfile.TarFile) -> list[tuple[str, int, int]]:
    """The regular members by tarfile: name, first byte, bytes."""
    return [(one.name, one.offset_data, one.size) for one in file if one.isreg() and not one.sparse]


NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from("aş/. "), min_size=1
).filter(lambda name: name.strip("/.") == name) | st.integers(90, 400).map(
    lambda count: "uzun/" * (count // 5) + "ad"
)


@given(
    st.lists(
        st.builds(info, NAMES, st.integers(0, 2_000), st.sampled_from([b"0", b"5", b"0", b"7"])), max_size=8
    ),
    st.sampled_from(FORMATS[1:]),
    st.booleans(),
)
def test_agrees_with_tarfile(members: list[tarfile.TarInfo], form: int, known_size: bool) -> None:
    raw = write(*members, form=form)
    found, error = scan(raw, known_size=known_size)
    with tarfile.open(fileobj=io.BytesIO(raw), encoding="utf-8", errors="surrogateescape") as file:
        assert [(m.name, m.place.at, m.place.size) for m in found if m.reason is None] == expected(file)
    assert error is None


def test_agrees_with_tarfile_on_its_own_test_archive(material: Callable[[str], Path]) -> None:
    path = material("libarchive-c") / "tests/data/testtar.tar"
    raw = path.read_bytes()
    found, error = scan(raw)
    with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as file:
        wanted = expected(file)
        kinds = {one.name: one for one in file}
    readable = [(m.name, m.place.at, m.place.size) for m in found if m.reason is None]
    # The reader ignores hdrcharset=BINARY; the bytes of such names are equal.
    assert [one[1:] for one in readable] == [one[1:] for one in wanted]
    assert {one[0] for one in wanted} == {one[0] for one in readable}
    assert error is None
    for member in found:
        if member.reason is Reason.LINK:
            assert kinds[member.name].islnk() or kinds[member.name].issym()
        if member.reason is Reason.SPECIAL_FILE:
            assert kinds[member.name].isdev()
        if member.reason is Reason.BAD_MEMBER:
            assert kinds[member.name].issparse()


def test_long_names_and_large_sizes() -> None:
    long = "klasör/" * 40 + "ad.png"
    for form in FORMATS[1:]:
        found, error = scan(write(info(long, 700), info("b"), form=form))
        assert [(m.name, m.place.size) for m in found] == [(long, 700), ("b", 0)]
        assert error is None


def test_names_that_are_not_utf_8() -> None:
    raw = write(info("\udcfd.png", 1), form=tarfile.GNU_FORMAT)
    assert scan(raw)[0][0].name == "\udcfd.png"


def test_a_size_in_base_256() -> None:
    size = b"\x80" + (5).to_bytes(11, "big")
    found, error = scan(header(size=size) + data(b"12345") + END)
    assert (found[0].place.size, error) == (5, None)


@pytest.mark.parametrize(
    "size", [b"\xff" * 12, b"\x80" + b"\xff" * 11, b"-1\0", b"0_7\0", b"+7\0", b"0x7\0", "٣".encode() + b"\0"]
)
def test_impossible_sizes_end_the_archive_but_not_the_members_before(size: bytes) -> None:
    found, error = scan(header(b"good") + data() + header(b"bad", size) + END)
    assert [m.name for m in found if m.reason is None] == ["good"]
    assert error is not None
    assert error.reason is Reason.BAD_ARCHIVE


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (b"1", Reason.LINK),
        (b"2", Reason.LINK),
        (b"3", Reason.SPECIAL_FILE),
        (b"4", Reason.SPECIAL_FILE),
        (b"6", Reason.SPECIAL_FILE),
        (b"M", Reason.BAD_MEMBER),
        (b"V", Reason.SPECIAL_FILE),
    ],
)
def test_members_that_are_not_files_are_rejected_alone(kind: bytes, reason: Reason) -> None:
    found, error = scan(header(b"odd", b"0\0", kind) + header(b"good") + data() + END)
    assert [(m.name, m.reason) for m in found] == [("odd", reason), ("good", None)]
    assert error is None


def test_a_sparse_file_with_extension_headers() -> None:
    first = bytearray(header(b"sparse", kind=b"S"))
    first[482] = 1
    first[148:156] = b" " * 8
    first[148:156] = b"%06o\0 " % sum(first)
    more = bytes(504) + b"\1" + bytes(7)
    raw = bytes(first) + more + bytes(512) + data() + header(b"good") + data() + END
    found, error = scan(raw)
    assert [(m.name, m.reason) for m in found] == [("sparse", Reason.BAD_MEMBER), ("good", None)]
    assert error is None


def pax(records: bytes, kind: bytes = b"x") -> bytes:
    return header(b"PaxHeader", b"%011o\0" % len(records), kind) + data(records)


@pytest.mark.parametrize(
    "records",
    [
        b"garbage",
        b"99999 path=x\n",
        b"4 a=\n",
        b"0 path=x\n",
        b"12 size=-3\n\n",
        b"11 size=-3\n",
        b"13 size=1e10\n",
        b"31 size=99999999999999999999999\n",
        b"10 path=x",
        b"12 path=x\0\0\n",
        b"30 GNU.sparse.realsize=100000\n",
    ],
)
def test_a_malformed_pax_header_rejects_only_its_member(records: bytes) -> None:
    found, error = scan(pax(records) + header(b"bad") + data() + header(b"good") + data() + END)
    assert found[-1].name == "good"
    assert found[-1].reason is None
    assert error is None
    if found[0].reason is None:  # unusual but valid records set the name
        assert records.startswith(b"12 path")
    else:
        assert found[0].reason is Reason.BAD_MEMBER


def test_a_pax_size_beyond_the_archive() -> None:
    record = b"23 size=99999999999999\n"
    raw = pax(record) + header(b"lies") + data() + END
    found, error = scan(raw)
    assert [m.reason for m in found] == [Reason.TRUNCATED]
    assert error is not None
    assert scan(raw, known_size=False)[1] is not None


def test_an_extended_header_of_two_gigabytes_is_not_read() -> None:
    found, error = scan(header(b"x", b"17777777777\0", b"x") + header(b"a") + data() + END)
    assert found == []
    assert error is not None
    large = tar.MAX_EXTENDED + 1
    raw = header(b"x", b"%011o\0" % large, b"L") + bytes(large + -large % 512) + header(b"a") + data() + END
    found, error = scan(raw)
    assert [(m.name, m.reason) for m in found] == [("a", Reason.BAD_MEMBER)]
    assert error is None


def test_a_global_header_applies_to_all_later_members() -> None:
    raw = pax(b"9 path=g\n", b"g") + header(b"a") + data() + header(b"b") + data() + END
    with tarfile.open(fileobj=io.BytesIO(raw)) as file:
        names = [one.name for one in file]
    assert [m.name for m in scan(raw)[0]] == names == ["g", "g"]


@pytest.mark.parametrize("cut", [1, 511, 600, 1_100, 1_535])
def test_truncated(cut: int) -> None:
    raw = (
        header(b"a", b"00000001000\0") + data(bytes(512)) + header(b"b", b"00000000600\0") + data(bytes(384))
    )
    found, error = scan(raw[:cut])
    assert error is not None
    assert error.reason is Reason.BAD_ARCHIVE
    if cut > 512:
        reasons = [m.reason for m in found]
        assert reasons == ([Reason.TRUNCATED] if cut < 1_024 else [None])


def test_a_truncated_stream_keeps_earlier_members() -> None:
    raw = header(b"a") + data() + header(b"b", b"00000001000\0") + bytes(100)
    found, error = scan(raw, known_size=False)
    assert [m.name for m in found] == ["a", "b"]
    assert error is not None
    assert "cut short" in error.detail


def test_without_end_marker_or_padding() -> None:
    whole = header(b"a") + b"abc"
    for raw in (whole, header(b"a") + data()):
        found, error = scan(raw)
        assert [m.name for m in found] == ["a"]
        assert error is None


def test_truncated_padding_is_an_error() -> None:
    found, error = scan(header(b"a") + b"abc" + bytes(100))
    assert [m.name for m in found] == ["a"]
    assert error is not None and "cut short" in error.detail


def test_a_second_tar_after_the_end_is_an_error() -> None:
    found, error = scan(write(info("a", 3)) + write(info("b", 3)))
    assert [m.name for m in found] == ["a"]
    assert error is not None
    assert "end marker" in error.detail


def test_signed_checksums_of_old_writers() -> None:
    block = bytearray(header("ğ".encode()))
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % (sum(block) - 512)
    assert scan(bytes(block) + data() + END)[0][0].name == "ğ"


def test_a_header_with_a_wrong_checksum_is_rejected() -> None:
    block = bytearray(header(b"b"))
    block[0] ^= 1
    found, error = scan(header(b"a") + data() + bytes(block) + data() + END)
    assert [m.name for m in found] == ["a"]
    assert error is not None
    assert "damaged header" in error.detail


SEED = write(
    info("plain.png", 600),
    info("klasör/" * 30 + "uzun.png", 20),
    info("link", kind=tarfile.SYMTYPE),
    info("dir", kind=tarfile.DIRTYPE),
    info("pax.png", 10, comment="x" * 600, mtime="1.5"),
    form=tarfile.PAX_FORMAT,
) + write(info("gnu/" * 60 + "x", 30), info("last", 5), form=tarfile.GNU_FORMAT)
HEADERS = [at for at in range(0, len(SEED), 512) if SEED[at + 257 : at + 262] == b"ustar"]


def repaired(raw: bytearray) -> bytearray:
    """Correct the checksums of the headers, so that mutations pass the check."""
    for at in HEADERS:
        raw[at + 148 : at + 156] = b" " * 8
        raw[at + 148 : at + 156] = b"%06o\0 " % sum(raw[at : at + 512])
    return raw


MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(HEADERS),
        st.integers(0, 511) | st.sampled_from([124, 125, 135, 156, 157, 257, 345, 482]),
        st.integers(0, 255) | st.sampled_from([0, 0x80, 0xFF, *b"0123567SxgLKVM/."]),
    ),
    max_size=12,
)


@given(MUTATIONS, st.booleans(), st.integers(0, len(SEED)), st.booleans())
def test_mutated_headers_give_members_or_an_archive_error(
    changes: list[tuple[int, int, int]], repair: bool, length: int, known_size: bool
) -> None:
    raw = bytearray(SEED)
    for at, offset, value in changes:
        raw[at + offset] = value
    if repair:
        raw = repaired(raw)
    raw = raw[:length] if length % 2 else raw
    found, _ = scan(bytes(raw), known_size=known_size)
    assert len(found) <= len(raw) // 512 + 1
    for member in found:
        assert member.place.size >= 0
        if member.reason is None and known_size:
            assert member.place.at + member.place.size <= len(raw)


@given(st.binary(max_size=4_000))
def test_any_bytes_end_in_an_error_or_nothing(raw: bytes) -> None:
    found, error = scan(raw)
    assert found == [] or error is None


def test_a_plain_file_reads_like_memory() -> None:
    random.seed(1)
    members = [
        info(f"{number}/" + "x" * random.randrange(300), random.randrange(30_000)) for number in range(200)
    ]
    raw = write(*members)
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.flush()
        found = list(tar.members(PlainFile(file.fileno(), len(raw)), len(raw)))
        assert found == scan(raw)[0]
        for member in found:
            assert os.pread(file.fileno(), 1, member.place.at - 512 + 257) == b"u"
