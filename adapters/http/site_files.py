"""Parses robots.txt and tdmrep.json: decoding, rules, and patterns over paths.

Patterns and paths are compared as octets, percent-encoded where they are not ASCII (RFC 9309, section 2.2.2).
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from yarl import URL

from ..names import escape

MAX_ROBOTS = 500 * 1024
"""Maximum bytes read of a robots.txt (RFC 9309, section 2.5)."""

MAX_TDMREP = 2**20
"""Maximum bytes read of a tdmrep.json."""

SITE_FILE_REDIRECTS = 5
"""Maximum redirects to a site file (RFC 9309, section 2.3.1.2)."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_ASCII = re.compile(rb"[^\x21-\x7e]")
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class PathRule(NamedTuple):
    """A rule for paths that match `pattern` (RFC 9309, section 2.2.3: `*`, final `$`)."""

    pattern: str
    refuses: bool
    raw: str


def site_text(body: bytes, limit: int | None = None) -> str:
    """Decode a site file: UTF-8, or UTF-16 with a BOM; without its last line if truncated at `limit`.

    A truncated rule would match more paths than the rule of the site.
    """
    encoding = next((name for mark, name in _MARKS if body.startswith(mark)), "utf-8")
    cut = limit is not None and len(body) >= limit
    text = (body[:limit] if cut else body).decode(encoding, "replace")
    if cut:
        end = max(text.rfind("\n"), text.rfind("\r"))
        text = text[: end + 1]
    return text


def comparable(path: str) -> str:
    """Normalize a path or pattern: ASCII, upper-case escapes, no unnecessary escapes."""

    def spell(match: re.Match[bytes]) -> bytes:
        byte = int(match[1], 16)
        return bytes([byte]) if byte in _UNRESERVED else b"%%%02X" % byte

    raw = _NOT_ASCII.sub(lambda match: b"%%%02X" % match[0][0], path.encode("utf-8", "surrogateescape"))
    return _ESCAPED.sub(spell, raw).decode("ascii")


def tdm_rules(text: str, origin: str) -> list[PathRule]:
    """Return the rules of an origin's tdmrep.json; none if malformed. Locations may be URLs."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        return []
    rules = []
    for entry in entries if isinstance(entries, list) else [entries]:
        if isinstance(entry, dict) and isinstance(location := entry.get("location"), str):
            pattern = _path_of(location, origin)
            if pattern is not None:
                reserved = str(entry.get("tdm-reservation")) == "1"
                raw = escape(json.dumps(entry, ensure_ascii=False)[:1000])
                rules.append(PathRule(comparable(pattern), reserved, raw))
    return rules


def _path_of(location: str, origin: str) -> str | None:
    """Return the path pattern of a location; None for a URL of another host."""
    if match := re.match(r"(?i)https?://[^/?#]*", location):
        try:
            named, own = URL(match[0]), URL(origin)
        except ValueError:
            return None
        if (named.host, named.explicit_port or own.port) != (own.host, own.port):
            return None
        location = location[match.end() :]
    return location if location.startswith(("/", "*", "?")) else f"/{location}"


def best_rule(rules: Iterable[PathRule], path: str) -> PathRule | None:
    """Return the matching rule with the longest pattern; of equal length, the rule that reserves rights."""
    matching = (rule for rule in rules if path_matches(rule.pattern, path))
    return max(matching, key=lambda rule: (len(rule.pattern), rule.refuses), default=None)


def path_matches(pattern: str, path: str) -> bool:
    """Return whether a robots.txt pattern matches the start of a path, in time linear in its length."""
    anchored = pattern.endswith("$")
    first, *rest = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    for number, part in enumerate(rest, start=1):
        if anchored and number == len(rest):
            return len(path) - len(part) >= at and path.endswith(part)
        found = path.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return not anchored or at == len(path)
