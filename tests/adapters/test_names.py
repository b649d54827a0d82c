"""Escaped names are readable, reversible and unique."""

from hypothesis import given
from hypothesis import strategies as st

from derlem.adapters.names import escape, repeated, unescape

BYTES = st.lists(
    st.sampled_from([b"\\", b"x", b"ff", b"00", b"#2", b"u", b"d800", "ş".encode(), b"\xff", b"a", b"/"])
).map(b"".join)
NAMES = BYTES.map(lambda raw: raw.decode("utf-8", "surrogateescape")) | st.text(
    st.characters(exclude_categories=[]) | st.sampled_from("\\\0x#d8\udcff\ud800")
)


def test_readable_names_are_unchanged() -> None:
    for name in ("plain.png", "İstanbul/ığüş.png", "back\\slash", "line\nbreak", "e\u0301 is not NFC"):
        assert escape(name) == name


def test_undecodable_bytes() -> None:
    assert escape(b"k\xfd\xfe.png".decode("utf-8", "surrogateescape")) == "k\\xfd\\xfe.png"


@given(NAMES)
def test_names_are_restored(name: str) -> None:
    text = escape(name)
    assert unescape(text) == name
    text.encode()
    assert "\0" not in text


@given(NAMES, NAMES, st.integers(2, 12), st.integers(2, 12))
def test_repeated_names_are_unique(one: str, two: str, first: int, second: int) -> None:
    assert repeated(escape(one), first) != escape(two)
    if (one, first) != (two, second):
        assert repeated(escape(one), first) != repeated(escape(two), second)
