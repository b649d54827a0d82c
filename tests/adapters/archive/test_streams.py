"""Streams unpack compressed files in pieces, completely or up to the damage."""

import bz2
import gzip
import lzma
import os
import tempfile
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from derlem.adapters.archive.members import ArchiveError, ArchiveLimits
from derlem.adapters.archive.streams import COMPRESSED, PIECE, Unpacked
from derlem.catalog.status import Reason
from derlem.core.sniff import media_type

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "application/gzip": lambda data: gzip.compress(data, 1),
    "application/x-bzip2": lambda data: bz2.compress(data, 1),
    "application/x-xz": lambda data: lzma.compress(data, preset=0),
    "application/zstd": zstandard.compress,
}
KINDS = pytest.mark.parametrize("kind", PACKERS)
MIB = bytes(2**20)


def test_every_compression_is_tested() -> None:
    assert set(PACKERS) == COMPRESSED


def unpack(kind: str, packed: bytes, *counts: int, limits: ArchiveLimits | None = None) -> list[bytes]:
    """The results of `take` for each of the counts."""
    with tempfile.TemporaryFile() as file:
        file.write(packed)
        file.flush()
        stream = Unpacked(file.fileno(), kind, limits or ArchiveLimits())
        return [stream.take(count) for count in counts]


@KINDS
@given(
    parts=st.lists(st.binary(max_size=200) | st.integers(0, 3 * PIECE).map(bytes), max_size=4),
    counts=st.lists(st.integers(0, 2_000) | st.sampled_from([PIECE - 1, PIECE, PIECE + 1]), max_size=6),
    padding=st.sampled_from([b"", bytes(4), bytes(512)]),
)
def test_one_or_several_packed_streams(
    kind: str, parts: list[bytes], counts: list[int], padding: bytes
) -> None:
    pack = PACKERS[kind]
    joint = padding if kind == "application/x-xz" else b""
    packed = joint.join(map(pack, parts or [b""]))
    content = b"".join(parts)
    taken = unpack(kind, packed, *counts, len(content) + 1)
    assert b"".join(taken) == content
    assert [len(one) for one in taken[:-1]] == [
        min(count, max(0, len(content) - sum(counts[:at]))) for at, count in enumerate(counts)
    ]


@KINDS
def test_sizes_around_a_piece(kind: str) -> None:
    for size in (PIECE - 1, PIECE, PIECE + 1, 2 * PIECE):
        for content in (bytes(size), os.urandom(size)):
            assert unpack(kind, PACKERS[kind](content), size + 1) == [content]


@KINDS
def test_skipping_equals_reading(kind: str) -> None:
    content = os.urandom(700_000)
    with tempfile.TemporaryFile() as file:
        file.write(PACKERS[kind](content))
        file.flush()
        stream = Unpacked(file.fileno(), kind, ArchiveLimits())
        assert stream.skip(650_000) == 650_000
        assert stream.take(10) == content[650_000:650_010]
        assert stream.position == 650_010
        assert stream.skip(10**9) == 49_990


@KINDS
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_damage_is_detected(kind: str, share: float) -> None:
    content = os.urandom(300_000)
    packed = bytearray(PACKERS[kind](content))
    at = 20 + int(share * len(packed))
    packed[at : at + 40] = b"\x55" * 40
    try:
        taken = unpack(kind, bytes(packed), len(content) + 1)
    except ArchiveError as error:
        assert error.reason is Reason.BAD_ARCHIVE
    else:  # without a checksum, zstd detects only invalid syntax
        assert kind == "application/zstd"
        assert taken != [content]


@KINDS
def test_bytes_before_a_truncation_are_read(kind: str) -> None:
    content = os.urandom(600_000)
    packed = PACKERS[kind](content)
    with tempfile.TemporaryFile() as file:
        file.write(packed[: len(packed) // 2])
        file.flush()
        stream = Unpacked(file.fileno(), kind, ArchiveLimits())
        assert stream.take(50_000) == content[:50_000]
        try:
            rest = stream.take(10**6)
        except ArchiveError as error:
            assert error.reason is Reason.BAD_ARCHIVE
        else:  # zstd ends without an error; the tar reader detects the truncation
            assert kind == "application/zstd"
            assert len(rest) < 550_000


@KINDS
def test_trailing_data_is_ignored(kind: str) -> None:
    assert unpack(kind, PACKERS[kind](b"abc") + b"junk at the end", 10) == [b"abc"]
    large = b"".join(number.to_bytes(4, "big") for number in range(200_000))
    assert unpack(kind, PACKERS[kind](large) + b"junk at the end", 10**6) == [large]


def test_a_skippable_frame_first() -> None:
    """As pzstd writes."""
    packed = b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + PACKERS["application/zstd"](b"abc")
    assert media_type(packed) == "application/zstd"
    assert unpack("application/zstd", packed, 10) == [b"abc"]


@KINDS
def test_bombs(kind: str) -> None:
    packed = PACKERS[kind](MIB) * 100
    with pytest.raises(ArchiveError, match=r"limits\.ratio") as error:
        unpack(kind, packed, *[2**20] * 100)
    assert error.value.reason is Reason.ARCHIVE_BOMB
    most = ArchiveLimits.model_validate({"archive_bytes": 3 * 2**20})
    with pytest.raises(ArchiveError, match=r"limits\.archive_bytes"):
        unpack(kind, packed, *[2**20] * 100, limits=most)


def test_windows_over_the_limit_are_rejected() -> None:
    wide = zstandard.ZstdCompressionParameters(window_log=30)
    writer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    packed = writer.compress(os.urandom(1_000)) + writer.flush()
    with pytest.raises(ArchiveError):
        unpack("application/zstd", packed, 10)
