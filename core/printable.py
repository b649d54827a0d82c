"""Makes text from sources safe to show: no character controls a terminal or the direction of text."""

from __future__ import annotations

import json
import re

_CONTROLS = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]"
)


def printable(text: str) -> str:
    """Return text with escapes in place of characters that control a terminal or the direction of text."""
    return _CONTROLS.sub(_escaped, text)


def to_json(value: object, indent: int | None = None) -> str:
    """Return JSON in which characters that control a terminal are escaped; NaN is an error."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
