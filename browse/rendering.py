"""Renders templates: all values are escaped, control characters included, and secrets are masked."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from .. import __version__
from ..core.masking import mask
from ..core.printable import printable

LONG = 100_000
"""Characters of a text that a page shows."""


class Renderer:
    """The templates of this room."""

    def __init__(self, workspace: str) -> None:
        self._environment = Environment(
            loader=PackageLoader("derlem.browse", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "shown": shown,
            "short": short,
            "count": lambda number: f"{number:,}",
            "size": size,
            "time": lambda at: at.isoformat(" ", "seconds") if isinstance(at, datetime) else shown(at or ""),
            "json": as_json,
            "hexdump": hexdump,
            "masked": mask,
            "segment": lambda text: quote(str(text), safe=""),
            "query": lambda values: urlencode(values),
        }
        self._environment.globals |= {"version": __version__, "workspace": workspace}

    def page(self, request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page or fragment; the template knows the path of the request as `path`."""
        return HTMLResponse(self.text(name, path=request.url.path, **values), status)

    def text(self, name: str, **values: Any) -> str:
        """Return the text of a template."""
        return self._environment.get_template(name).render(**values)


def shown(value: object) -> str:
    """A value as text without control characters; a very long text is cut, and its length given."""
    text = str(value)
    if len(text) > LONG:
        text = f"{text[:LONG]}… ({len(text):,} characters)"
    return printable(mask(text))


def short(value: object, length: int = 120) -> str:
    """A value as one short line."""
    text = " ".join(str(value)[: 4 * length].split())
    return printable(mask(text if len(text) <= length else f"{text[:length]}…"))


def as_json(value: object) -> str:
    """A value as indented JSON."""
    return printable(mask(json.dumps(value, ensure_ascii=False, indent=1, default=str)))


def size(number: int | None) -> str:
    """Bytes with a decimal unit."""
    if number is None:
        return ""
    amount = float(number)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("the last unit has no limit")


def hexdump(data: bytes) -> str:
    """Bytes in lines of 16: offset, hexadecimal digits, ASCII characters."""
    lines = []
    for start in range(0, len(data), 16):
        part = data[start : start + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{start:08x}  {part.hex(' '):<47}  {text}")
    return "\n".join(lines)
