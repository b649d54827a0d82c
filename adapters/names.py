"""Names of files and members as text: readable, reversible, and never two names with one spelling."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[^\\\0\ud800-\udfff]*")
_UNSPEAKABLE = re.compile(r"(\\*)([\0\ud800-\udfff])|(\\+)(?=x[0-9a-f]{2}|u[0-9a-f]{4}|#[0-9])")
_ESCAPE = re.compile(r"(\\+)(x[0-9a-f]{2}|u[0-9a-f]{4}|(?=#[0-9]))")


def escape(name: str) -> str:
    """`name`, as the operating system or an archive gave it, as text that can be stored and encoded.

    Bytes that are no characters (surrogate escapes) and NUL are written `\\xff`; what would be read as
    such an escape gets its backslashes doubled. So different names stay different, and `unescape` gives
    the name back.
    """
    if (name.isascii() and "\\" not in name and "\0" not in name) or _PLAIN.fullmatch(name):
        return name
    return _UNSPEAKABLE.sub(_spell, name)


def unescape(text: str) -> str:
    """The name that `escape` spelled as `text`."""
    return _ESCAPE.sub(_unspell, text) if "\\" in text else text


def repeated(text: str, count: int) -> str:
    """A readable name for the `count`th thing (from 2) with the same name; no other name reads so."""
    slashes = "\\" * (len(text) - len(text.rstrip("\\")))
    return f"{text}{slashes}\\#{count}"


def _spell(match: re.Match[str]) -> str:
    slashes, unspeakable, literal = match.groups()
    if literal is not None:
        return str(literal * 2)
    code = ord(unspeakable)
    is_byte = code == 0 or 0xDC80 <= code < 0xDD00
    return str(slashes * 2) + (f"\\x{code & 0xFF:02x}" if is_byte else f"\\u{code:04x}")


def _unspell(match: re.Match[str]) -> str:
    slashes, escape = match.groups()
    half, odd = divmod(len(slashes), 2)
    if not odd:
        return "\\" * half + str(escape)
    if not escape:
        return str(slashes)  # `repeated`: the count is no part of the name
    code = int(escape[1:], 16)
    if escape[0] == "x" and code:
        code += 0xDC00
    return "\\" * half + chr(code)
