"""Identities, category paths and captions."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem.catalog.models import Item, category_path, clean_text, item_id


def test_item_ids_never_change() -> None:
    assert item_id("stamps", "animals/cat.png") == "b030b54a6d1029dca8dc9da9e6e06ebe"
    assert item_id("gazete", "akşam/1936 mart.pdf", "page=3") == "8a1cc2ff79887fc0ff97d39d8466cff9"


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_no_two_addresses_share_an_identity(uri: str, locator: str, other_uri: str, other: str) -> None:
    uri, other_uri = uri.replace("\0", ""), other_uri.replace("\0", "")
    same = (uri, locator) == (other_uri, other)
    assert (item_id("s", uri, locator) == item_id("s", other_uri, other)) is same


def test_nul_in_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        Item(source="s", uri="a\0b")


@given(st.lists(st.text(max_size=12), max_size=5))
def test_category_paths_are_normal(parts: list[str]) -> None:
    path = category_path(*parts)
    steps = path.split("/") if path else []
    assert all(step and step == step.strip() and step not in (".", "..") for step in steps)
    assert path == unicodedata.normalize("NFC", path) == category_path(path)


@given(st.text(max_size=50))
def test_captions_are_nfc_without_nul_and_stay_so(text: str) -> None:
    cleaned = clean_text(text)
    assert "\0" not in cleaned and "\r" not in cleaned
    assert clean_text(cleaned) == cleaned
