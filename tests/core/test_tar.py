"""Tar members: what we write is what tarfile writes, and its bytes never change."""

import hashlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem.core.tar import END_OF_ARCHIVE, header, padding

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789._-", min_size=1, max_size=100)


@given(name=NAMES, size=st.integers(0, 8**11 - 1))
def test_header_is_the_one_that_tarfile_writes(name: str, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    assert header(name, size) == info.tobuf(tarfile.USTAR_FORMAT)


@given(members=st.lists(st.tuples(NAMES, st.binary(max_size=2000)), max_size=5, unique_by=lambda m: m[0]))
def test_members_read_back(members: list[tuple[str, bytes]]) -> None:
    data = b"".join(header(name, len(body)) + body + padding(len(body)) for name, body in members)
    with tarfile.open(fileobj=io.BytesIO(data + END_OF_ARCHIVE)) as archive:
        found = [(info.name, archive.extractfile(info).read()) for info in archive]  # type: ignore[union-attr]
    assert found == members


@pytest.mark.parametrize(("name", "size"), [("", 1), ("a" * 101, 1), ("a", 8**11)])
def test_what_ustar_cannot_say_plainly_is_refused(name: str, size: int) -> None:
    with pytest.raises(ValueError, match="no plain ustar header"):
        header(name, size)


def test_bytes_never_change() -> None:
    digest = hashlib.sha256(header("0123456789abcdef.jpg", 35_000)).hexdigest()
    assert digest == "a27395fdba784bd01061ebcbc0777c57f45fecc80075e7755b80c379b83696eb"
