"""Whether an SPDX license expression passes the configured rules.

SPDX 2.3, annex D: `A OR B` lets the user choose, `A AND B` binds to both, `X WITH exception` is X with
additional permissions, `X+` is X or later.
"""

from __future__ import annotations

import re

from .sample_options import LicenseRules

_TOKEN = re.compile(r"\(|\)|[^\s()]+")


def permitted(expression: str | None, rules: LicenseRules) -> bool:
    """Whether an item under this license can be a candidate. No license passes if `allow` is not given.

    An expression in `allow` matches itself, unless `deny` refuses it.
    """
    if not expression or not expression.strip():
        return rules.allow is None
    if rules.allow is not None and _plain(expression) in map(_plain, rules.allow):
        return permitted(expression, rules.model_copy(update={"allow": None}))
    allow = None if rules.allow is None else {name.lower() for name in rules.allow}
    deny = {name.lower() for name in rules.deny}
    tokens = _TOKEN.findall(expression)
    try:
        passes, rest = _either(tokens, allow, deny)
    except IndexError:
        rest = ["incomplete"]
    # text that is not an SPDX expression is the name of a single license
    return _license(expression, allow, deny) if rest else passes


def _plain(expression: str) -> str:
    """An expression with single spaces, in lower case, as SPDX compares it."""
    return " ".join(expression.replace("(", " ( ").replace(")", " ) ").split()).lower()


def _either(tokens: list[str], allow: set[str] | None, deny: set[str]) -> tuple[bool, list[str]]:
    passes, tokens = _both(tokens, allow, deny)
    while tokens and tokens[0].upper() == "OR":
        other, tokens = _both(tokens[1:], allow, deny)
        passes = passes or other
    return passes, tokens


def _both(tokens: list[str], allow: set[str] | None, deny: set[str]) -> tuple[bool, list[str]]:
    passes, tokens = _one(tokens, allow, deny)
    while tokens and tokens[0].upper() == "AND":
        other, tokens = _one(tokens[1:], allow, deny)
        passes = passes and other
    return passes, tokens


def _one(tokens: list[str], allow: set[str] | None, deny: set[str]) -> tuple[bool, list[str]]:
    if tokens[0] == "(":
        passes, tokens = _either(tokens[1:], allow, deny)
        if tokens[0] != ")":
            raise IndexError
        return passes, tokens[1:]
    name, tokens = tokens[0], tokens[1:]
    if tokens and tokens[0].upper() == "WITH":
        return _license(name, allow, deny, f"{name} WITH {tokens[1]}"), tokens[2:]
    return _license(name, allow, deny), tokens


def _license(name: str, allow: set[str] | None, deny: set[str], whole: str = "") -> bool:
    names = {part.strip().lower() for part in (name, whole) if part}
    return not names & deny and (allow is None or bool(names & allow))
