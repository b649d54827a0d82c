"""Turns links as archives write them into URLs, changing only what cannot be sent."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit, urlunsplit

from w3lib.url import safe_url_string

_STRAY = str.maketrans("", "", "\t\n\r")


def absolute(base: str, link: str, encoding: str = "utf-8") -> str | None:
    """The http(s) URL of `link` on the page `base`; None if it leads elsewhere (mailto:, javascript:).

    Spaces and non-ASCII letters are escaped (those of the query in the page's `encoding`, as browsers
    do); double slashes, which `urllib.parse.urljoin` drops from relative links, underscores and
    existing escapes stay. The fragment is cut off. The resolution is that of RFC 3986, section 5.2.
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
    """The last part of a URL's path, unescaped."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _without_dots(path: str) -> str:
    """The path without `.` and `..` steps; empty steps count and stay (RFC 3986, section 5.2.4)."""
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
