"""What is written through a HashingFile stands in the file, whole, or there is an error."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import random
from pathlib import Path
from typing import Any

import pytest

from derlem.corpus import files
from derlem.corpus.files import HashingFile


class Picky(io.FileIO):
    """A file on a system that takes the flag for direct writing, but then no such write at all."""

    def write(self, data: Any, /) -> int:
        if fcntl.fcntl(self.fileno(), fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return super().write(data)


@pytest.mark.parametrize("kind", [io.FileIO, Picky])
@pytest.mark.parametrize("size", [0, 1, 512, 4096, 8192, 10_000, 12_288, 50_001])
def test_bytes_of_any_number_in_any_pieces(
    size: int, kind: type[io.FileIO], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BUFFER", 8192)
    made = random.Random(size)
    data, done = made.randbytes(size), 0
    with kind(tmp_path / "x", "w") as file, HashingFile(file) as sink:
        while done < size:
            part = data[done : done + made.choice([1, 512, 5000, 20_000])]
            assert sink.write(part) == len(part)
            done += len(part)
            assert sink.tell() == done
        sink.make_durable()
    assert (tmp_path / "x").read_bytes() == data
    assert sink.size == size
    assert sink.sha256 == hashlib.sha256(data).hexdigest()


def test_the_callers_buffer_is_its_own_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BUFFER", 4096)
    buffer = bytearray(b"a" * 4096)
    with io.FileIO(tmp_path / "x", "w") as file, HashingFile(file) as sink:
        sink.write(buffer)
        buffer[:] = b"b" * 4096
        sink.write(buffer)
        sink.make_durable()
    assert (tmp_path / "x").read_bytes() == b"a" * 4096 + b"b" * 4096


def test_a_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BUFFER", 4096)
    with (
        io.FileIO("/dev/full", "w") as file,
        HashingFile(file) as sink,
        pytest.raises(OSError, match="No space left") as caught,
    ):
        sink.write(bytes(5000))
        sink.make_durable()
    assert caught.value.errno == errno.ENOSPC
