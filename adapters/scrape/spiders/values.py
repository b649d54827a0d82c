"""Reads the loose values of JSON interfaces: one thing or a list of it, plain text or markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from w3lib.html import remove_tags, replace_entities


def listed(value: Any) -> list[Any]:
    """The values, whether one came, a list, or none."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def first(value: Any) -> str | None:
    """The first value as text; None if there is none."""
    for found in listed(value):
        if found is not None and not isinstance(found, Mapping) and str(found).strip():
            return str(found)
    return None


def plain(text: str | None) -> str | None:
    """Text without markup and with single spaces; None if nothing is left."""
    return " ".join(replace_entities(remove_tags(text)).split()) or None if text else None
