"""Parses URLs from lists and redirects, and escapes only characters that cannot be sent."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

import idna
from yarl import URL

MAX_LENGTH = 8192
"""Maximum characters of a URL; servers reject longer URLs."""

_PLAIN = re.compile(
    r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z][a-z0-9-]*)(?::([0-9]{1,5}))?(/(?:[!$&-;=?-Z_a-z~]|%[0-9A-Fa-f]{2})*)?"
)
_PARTS = re.compile(r"(?is)(https?)://([^/?#\\]*)([^#]*)(?:#.*)?")
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_UNSENDABLE = re.compile(rb"[^!$&-;=?-Z_a-z~\[\]%]|%(?![0-9A-Fa-f]{2})")
_NUMERIC = re.compile(r"0x[0-9a-f]*|[0-9]+")
_PORTS = {"http": 80, "https": 443}


class UrlError(ValueError):
    """A text that is not a fetchable URL; the message contains the cause."""


class Target(NamedTuple):
    """The target of a request.

    `url` is ready to be sent. `host` is the name that has limits, without a port, or a normalized address.
    `origin` is scheme, host and port: the scope of a robots.txt.
    """

    url: URL
    host: str
    origin: str


def read_url(text: str) -> Target:
    """Return the target of an http(s) URL; UrlError for other text.

    Spaces, non-ASCII letters (as UTF-8) and other characters that must not be sent are escaped; existing
    escapes, double slashes and dots are kept. Host names may be international (UTS 46), addresses may use
    any historical numeric form. The fragment is dropped.
    """
    plain = _PLAIN.fullmatch(text)
    if plain and len(text) <= MAX_LENGTH:
        scheme, host, port, path = plain.groups()
        if len(host) <= 253:
            return _target(text if path else f"{text}/", scheme, host, _port(port, scheme))
    scheme, host, number, rest = _split(text)
    rest = _UNSENDABLE.sub(_escape, rest.encode("utf-8", "surrogateescape")).decode("ascii")
    if not rest.startswith("/"):
        rest = f"/{rest}"
    shown = f"[{host}]" if ":" in host else host
    if number != _PORTS[scheme]:
        shown = f"{shown}:{number}"
    return _target(f"{scheme}://{shown}{rest}", scheme, host, number)


@lru_cache(maxsize=4096)  # lists repeat hosts
def read_host(text: str) -> str:
    """Normalize a host for the look-up: lower case, ASCII, normalized address; UrlError."""
    if not text:
        raise UrlError("no host")
    try:
        mapped = text if text.isascii() else idna.uts46_remap(text)
        host = mapped.lower() if mapped.isascii() else idna.encode(mapped).decode()
        host = host.removesuffix(".")
        address = literal(host)
        if address is not None:
            return str(address)
    except ValueError as error:
        raise UrlError(f"host {text!r}: {error}") from error
    if len(host) > 253 or not _HOST.fullmatch(host) or any(len(label) > 63 for label in host.split(".")):
        raise UrlError(f"host {text!r} is not a host name")
    return host


def host_of(text: str) -> str:
    """Return the host that has limits for a URL (see Target); UrlError."""
    plain = _PLAIN.fullmatch(text)
    if plain and len(text) <= MAX_LENGTH and len(plain[2]) <= 253 and not plain[3]:
        return plain[2]
    return _split(text)[1]


def follow(base: URL, location: str) -> Target:
    """Return the target of a redirect (RFC 9110, section 10.2.2: relative to the request's URL); UrlError."""
    text = location.strip().translate(_STRAY)
    if not re.match(r"(?i)[a-z][a-z0-9+.-]*:", text):
        escaped = _UNSENDABLE.sub(_escape, text.partition("#")[0].encode("utf-8", "surrogateescape"))
        text = str(base.join(URL(escaped.decode("ascii"), encoded=True)))
    return read_url(text)


def _split(text: str) -> tuple[str, str, int, str]:
    """Return (scheme, host, port, unchanged rest) of an http(s) URL; UrlError."""
    text = text.strip().translate(_STRAY)
    if len(text) > MAX_LENGTH:
        raise UrlError(f"{len(text)} characters")
    parts = _PARTS.fullmatch(text)
    if not parts:
        raise UrlError("not an http or https URL")
    scheme, authority, rest = parts[1].lower(), parts[2], parts[3]
    if "@" in authority:
        raise UrlError("contains a user name")  # perhaps with a password, which must not be stored
    bracket = authority.rfind("]")
    name, colon, port = authority[bracket + 1 :].rpartition(":")
    host = read_host(authority[: bracket + 1] + (name if colon else authority[bracket + 1 :]))
    return scheme, host, _port(port if colon else None, scheme), rest


def _target(text: str, scheme: str, host: str, port: int) -> Target:
    shown = f"[{host}]" if ":" in host else host
    return Target(URL(text, encoded=True), host, f"{scheme}://{shown}:{port}")


def _port(text: str | None, scheme: str) -> int:
    if not text:
        return _PORTS[scheme]
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 65536:
        raise UrlError(f"port {text!r}")
    return int(text)


def _escape(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]


_STRAY = str.maketrans("", "", "\t\n\r")


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address in a URL's host, or None for a name.

    Accepts the forms of resolvers and browsers: one to four decimal, octal or hexadecimal numbers (the
    WHATWG URL standard's IPv4 parser). ValueError for numbers that are not an address.
    """
    if ":" in host:
        return IPv6Address(host.strip("[]").partition("%")[0])
    parts = host.lower().removesuffix(".").split(".")
    if not _NUMERIC.fullmatch(parts[-1]):
        return None
    numbers = [_number_of(part) for part in parts]
    if (
        len(numbers) > 4
        or any(number > 255 for number in numbers[:-1])
        or numbers[-1] >= 256 ** (5 - len(numbers))
    ):
        raise ValueError(f"{host} is not an address")
    value = sum(number << (24 - 8 * place) for place, number in enumerate(numbers[:-1]))
    return IPv4Address(value + numbers[-1])


def _number_of(text: str) -> int:
    if not _NUMERIC.fullmatch(text):
        raise ValueError(f"{text!r} is not a part of an address")
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)
