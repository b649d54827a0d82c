"""Reads filters from the query string of an address, and writes them into one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from urllib.parse import urlencode

from ..exploration import BadRequest, ItemFilter

NUMBERS = ("min_side", "max_side", "min_bytes", "max_bytes")
NAMES = tuple(column.name for column in fields(ItemFilter))
MAX_LENGTH = 4_000


def parse_filter(values: Mapping[str, str]) -> ItemFilter:
    """Return the filter of a query string; empty fields are no condition. Raises BadRequest."""
    texts: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for name in NAMES:
        text = values.get(name, "").strip() if name != "text" else values.get(name, "")
        if not text:
            continue
        if len(text) > MAX_LENGTH:
            raise BadRequest(f"the filter {name} is too long")
        if name in NUMBERS:
            if not (text.isascii() and text.isdecimal() and len(text) <= 18):
                raise BadRequest(f"the filter {name} is a whole number")
            numbers[name] = int(text)
        else:
            texts[name] = text.strip("/") if name == "category" else text
    sides = {name: min(number, 2**31 - 1) if "side" in name else number for name, number in numbers.items()}
    return ItemFilter(**texts, **sides)  # type: ignore[arg-type]  # texts and numbers by name


def active(chosen: ItemFilter) -> dict[str, str]:
    """The conditions of a filter as fields of a form."""
    return {name: str(value) for name in NAMES if (value := getattr(chosen, name)) is not None}


def address(path: str, chosen: ItemFilter, **more: object) -> str:
    """Return a path with a filter and more fields as its query string."""
    values = active(chosen) | {name: str(value) for name, value in more.items() if value is not None}
    return f"{path}?{urlencode(values)}" if values else path
