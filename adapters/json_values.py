"""JSON values that the catalog can hold: finite numbers, and text that can be encoded."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_LARGE_NUMBER = re.compile(r"\d[eE]\+?\d{3}|\d{309}")

DECODER = json.JSONDecoder(parse_constant=lambda _: None)  # NaN is not JSON


def checked(value: Any, text: str) -> Any:
    """Return the value that was parsed from `text`, with None in place of numbers that overflow a double.

    Raises ValueError for text that is not Unicode: bytes that did not decode, or lone surrogates.
    """
    text.encode()
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()
    return _representable(value) if _LARGE_NUMBER.search(text) else value


def _representable(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 2**1024 else None
    if isinstance(value, dict):
        return {name: _representable(inner) for name, inner in value.items()}
    return [_representable(inner) for inner in value] if isinstance(value, list) else value
