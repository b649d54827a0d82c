"""Addresses as URLs spell them, in all the forms that resolvers and browsers have ever understood."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

_NUMERIC = re.compile(r"0x[0-9a-f]*|[0-9]+")


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a URL's host spells, or None if it is a name.

    Understands what resolvers do and browsers did: one to four decimal, octal or hexadecimal numbers
    (the WHATWG URL standard's IPv4 parser). ValueError for numbers that are no address.
    """
    if ":" in host:
        return IPv6Address(host.strip("[]").partition("%")[0])
    parts = host.lower().removesuffix(".").split(".")
    if not _NUMERIC.fullmatch(parts[-1]):
        return None
    numbers = [_number(part) for part in parts]
    if (
        len(numbers) > 4
        or any(number > 255 for number in numbers[:-1])
        or numbers[-1] >= 256 ** (5 - len(numbers))
    ):
        raise ValueError(f"{host} is not an address")
    value = sum(number << (24 - 8 * place) for place, number in enumerate(numbers[:-1]))
    return IPv4Address(value + numbers[-1])


def _number(text: str) -> int:
    if not _NUMERIC.fullmatch(text):
        raise ValueError(f"{text!r} is no part of an address")
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)
