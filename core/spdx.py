"""The grammar of SPDX license expressions (SPDX 2.3, annex D), without the list of identifiers."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[()]|[^\s()]+")
_NAME = re.compile(r"(?:DocumentRef-[A-Za-z0-9.-]+:)?[A-Za-z0-9.+-]+")
_OPERATORS = ("AND", "OR", "WITH")


def is_expression(text: str) -> bool:
    """Return whether `text` is a well-formed expression: names with AND, OR, WITH and parentheses."""
    depth, name_expected, after_with = 0, True, False
    for token in _TOKEN.findall(text):
        if name_expected and token == "(" and not after_with:
            depth += 1
        elif name_expected and token.upper() not in _OPERATORS and _NAME.fullmatch(token):
            name_expected = False
        elif not name_expected and token == ")" and depth:
            depth, after_with = depth - 1, True  # an exception belongs to a name
        elif not name_expected and token.upper() in _OPERATORS:
            if token.upper() == "WITH" and after_with:
                return False
            name_expected, after_with = True, token.upper() == "WITH"
        else:
            return False
    return not name_expected and depth == 0
