"""WebDataset tars: samples with the places of their images, and bytes at such places."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import zstandard

MAX_SIDECAR = 4 * 2**20
"""Bytes of a member that is read as text; more is no caption of an image."""

_TEXTS = frozenset({"txt", "text", "transcript", "caption"})
_NUMBERS = frozenset({"cls", "cls2", "index", "inx", "id"})
_OBJECTS = frozenset({"json", "jsn"})
_NAME = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$", re.DOTALL)


class Place(NamedTuple):
    """Where a member's bytes lie in the tar, after decompression."""

    offset: int
    size: int


@dataclass(slots=True)
class Sample:
    """Members that share a key: texts, numbers and objects by field, images by field with their place.

    Members of other kinds stand in `values` as bytes, empty. `problem` says what makes the sample unusable.
    """

    number: int
    key: str
    values: dict[str, Any] = field(default_factory=dict)
    images: dict[str, Place] = field(default_factory=dict)
    problem: str = ""
    duplicate: bool = False


class TarFile:
    """A tar, plain or compressed. Places ascend through it; going back in a compressed one starts anew."""

    def __init__(self, file: Path | IO[bytes]) -> None:
        self._raw: IO[bytes] = file.open("rb") if isinstance(file, Path) else file
        self._file = self._opened()

    def samples(self, image_fields: Collection[str]) -> Iterator[Sample]:
        """All samples in order. `image_fields` are extensions, of which a field's last part counts.

        Raises tarfile.TarError where the tar ends too early, after the samples before that.
        """
        sample: Sample | None = None
        with tarfile.open(fileobj=self._file, mode="r:") as tar:
            for member in _members(tar):
                match = _NAME.match(member.name)
                if match is None or not member.isreg() or member.name.rpartition("/")[2].startswith("."):
                    continue
                key, name = match[1], match[2].lower()
                if sample is None or sample.key != key:
                    if sample is not None:
                        yield sample
                    sample = Sample(sample.number + 1 if sample else 0, key)
                self._add(sample, name, tar, member, image_fields)
        if sample is not None:
            yield sample

    def read(self, place: Place) -> bytes:
        """The bytes of a member; fewer than its size if the tar ends before."""
        if not self.plain and place.offset < self._file.tell():
            self._raw.seek(0)
            self._file = self._opened()
        self._file.seek(place.offset)
        data: bytes = self._file.read(place.size)
        return data

    @property
    def plain(self) -> bool:
        """Whether any place can be read without what lies before it."""
        return self._file is self._raw

    def close(self) -> None:
        """Close the tar."""
        self._file.close()
        self._raw.close()

    def _opened(self) -> Any:
        head = self._raw.read(6)
        self._raw.seek(0)
        if head.startswith(b"\x1f\x8b"):
            return gzip.GzipFile(fileobj=self._raw)
        if head.startswith(b"BZh"):
            return bz2.BZ2File(self._raw)
        if head == b"\xfd7zXZ\0":
            return lzma.LZMAFile(self._raw)
        if head.startswith(b"\x28\xb5\x2f\xfd"):
            reader = zstandard.ZstdDecompressor().stream_reader(
                self._raw, read_across_frames=True, closefd=False
            )
            return io.BufferedReader(_Forward(reader))
        return self._raw

    @staticmethod
    def _add(
        sample: Sample,
        name: str,
        tar: tarfile.TarFile,
        member: tarfile.TarInfo,
        image_fields: Collection[str],
    ) -> None:
        if name in sample.values or name in sample.images:
            sample.problem, sample.duplicate = f"{member.name} is there twice", True
            return
        kind = name.rpartition(".")[2]
        if kind in image_fields:
            sample.images[name] = Place(member.offset_data, member.size)
            return
        if kind not in _TEXTS | _NUMBERS | _OBJECTS:
            sample.values[name] = b""
            return
        if member.size > MAX_SIDECAR:
            sample.problem = f"{member.name} has {member.size} bytes"
            return
        content = tar.extractfile(member)
        data = content.read() if content else b""
        try:
            text = data.decode("utf-8-sig")
            sample.values[name] = (
                json.loads(text) if kind in _OBJECTS else int(text) if kind in _NUMBERS else text
            )
        except (ValueError, RecursionError) as error:
            sample.problem = f"{member.name}: {error}"


class _Forward(io.RawIOBase):
    """A decompressing stream on which one can seek forward, by reading."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._at = stream, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        count: int = self._stream.readinto(buffer)
        self._at += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        target = self._at + offset if whence == io.SEEK_CUR else offset
        if whence == io.SEEK_END or target < self._at:
            raise io.UnsupportedOperation("a compressed stream goes forward only")
        while self._at < target:
            part = self._stream.read(min(2**16, target - self._at))
            if not part:
                break
            self._at += len(part)
        return self._at


def _members(tar: Any) -> Iterator[tarfile.TarInfo]:
    """The members; tarfile.ReadError where the tar is damaged, which tarfile takes for its end."""
    while (member := tar.next()) is not None:
        yield member
        tar.members.clear()  # tarfile keeps them all
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"damaged at byte {tar.offset}")
