"""Parses values of archive pages: links to URLs, and JSON fields (one value or a list, text or markup)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from w3lib.html import remove_tags, replace_entities
from w3lib.url import safe_url_string

_STRAY = str.maketrans("", "", "\t\n\r")


def absolute(base: str, link: str, encoding: str = "utf-8") -> str | None:
    """Return the http(s) URL of `link` on the page `base`; None for other schemes (mailto:, javascript:).

    Only characters that cannot be sent are changed: spaces and non-ASCII letters are escaped (in the
    query with the page's `encoding`, like browsers). Underscores, existing escapes and double slashes,
    which `urllib.parse.urljoin` drops from relative links, are kept. The fragment is removed. Relative
    links are resolved by RFC 3986, section 5.2.
    """
    try:
        there, here = urlsplit(link.strip().translate(_STRAY)), urlsplit(base)
    except ValueError:
        return None
    scheme = there.scheme or here.scheme
    if scheme not in ("http", "https"):
        return None
    if there.netloc:
        host, path, query = there.netloc, there.path, there.query
    elif there.path:
        folder = here.path.rpartition("/")[0]
        host, query = here.netloc, there.query
        path = there.path if there.path.startswith("/") else f"{folder}/{there.path}"
    else:
        host, path, query = here.netloc, here.path, there.query or here.query
    if not host:
        return None
    joined = urlunsplit((scheme, host, _without_dots(path) or "/", query, ""))
    return str(safe_url_string(joined, encoding=encoding, path_encoding="utf-8"))


def file_name(url: str) -> str:
    """Return the last part of a URL's path, unescaped."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _without_dots(path: str) -> str:
    """Return the path without `.` and `..` steps; empty steps are kept (RFC 3986, section 5.2.4)."""
    steps: list[str] = []
    parts = path.split("/")
    for part in parts:
        if part == "..":
            if len(steps) > 1:
                steps.pop()
        elif part != ".":
            steps.append(part)
    if parts[-1] in (".", ".."):
        steps.append("")
    return "/".join(steps)


def listed(value: Any) -> list[Any]:
    """Return a list of the values, for one value, a list or None."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def first(value: Any) -> str | None:
    """Return the first value that is not empty, as text; None without such a value."""
    for found in listed(value):
        if found is not None and not isinstance(found, Mapping) and str(found).strip():
            return str(found)
    return None


def plain(text: str | None) -> str | None:
    """Return text without markup and with single spaces; None if the result is empty."""
    return " ".join(replace_entities(remove_tags(text)).split()) or None if text else None
