"""Escapes names of files and members as readable text. The mapping is reversible and injective."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[^\\\0\ud800-\udfff]*")
_UNWRITABLE = re.compile(r"(\\*)([\0\ud800-\udfff])|(\\+)(?=x[0-9a-f]{2}|u[0-9a-f]{4}|#[0-9])")
_ESCAPE = re.compile(r"(\\+)(x[0-9a-f]{2}|u[0-9a-f]{4}|(?=#[0-9]))")


def escape(name: str) -> str:
    """Return a name from the operating system or an archive as text that can be stored and encoded.

    Undecodable bytes (surrogate escapes) and NUL are written `\\xff`; backslashes before a literal escape
    are doubled. Thus different names stay different, and `unescape` restores the name.
    """
    if (name.isascii() and "\\" not in name and "\0" not in name) or _PLAIN.fullmatch(name):
        return name
    return _UNWRITABLE.sub(_escape_match, name)


def unescape(text: str) -> str:
    """Return the name that `escape` wrote as `text`."""
    return _ESCAPE.sub(_unescape_match, text) if "\\" in text else text


def repeated(text: str, count: int) -> str:
    """Return a readable name, unique after `escape`, for the `count`th entry (from 2) of the same name."""
    slashes = "\\" * (len(text) - len(text.rstrip("\\")))
    return f"{text}{slashes}\\#{count}"


def _escape_match(match: re.Match[str]) -> str:
    slashes, unwritable, literal = match.groups()
    if literal is not None:
        return str(literal * 2)
    code = ord(unwritable)
    is_byte = code == 0 or 0xDC80 <= code < 0xDD00
    return str(slashes * 2) + (f"\\x{code & 0xFF:02x}" if is_byte else f"\\u{code:04x}")


def _unescape_match(match: re.Match[str]) -> str:
    slashes, escape = match.groups()
    half, odd = divmod(len(slashes), 2)
    if not odd:
        return "\\" * half + str(escape)
    if not escape:
        return str(slashes)  # written by `repeated`: the count is not part of the name
    code = int(escape[1:], 16)
    if escape[0] == "x" and code:
        code += 0xDC00
    return "\\" * half + chr(code)
