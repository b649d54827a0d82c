"""Renders a report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

from .. import __version__
from ..core.durable import replace_file
from ..core.errors import MissingExtra
from ..core.printable import printable
from ..core.workspace import Workspace
from .bins import histogram
from .contact import data_url
from .facts import Facts
from .tree import tree

TEXT = 300
"""Characters of a text from a source that a page shows."""
ROWS = 200
"""Rows of a table that a page shows; the catalog has them all."""

HISTOGRAMS = (
    ("side", "Longer side", "pixels"),
    ("aspect", "Aspect ratio", "width to height"),
    ("size", "Image size", "bytes"),
    ("caption_length", "Caption length", "characters"),
    ("language", "Language", "of the caption"),
)


@dataclass(frozen=True, slots=True)
class Report:
    """A report: `html` is the whole page. A notebook shows the page in a frame."""

    corpus: str | None
    html: str = field(repr=False)

    def write(self, path: str | PathLike[str]) -> Path:
        """Write the page, replacing `path`."""
        replace_file(Path(path), self.html)
        return Path(path)

    def _repr_html_(self) -> str:
        page = html.escape(self.html, quote=True)
        frame = "width:100%;height:80vh;border:1px solid #8884;border-radius:6px"
        return (
            f'<iframe title="derlem report" sandbox="allow-scripts" style="{frame}" srcdoc="{page}"></iframe>'
        )


def render(workspace: Workspace, facts: Facts) -> Report:
    """Render the page. Raises MissingExtra without Jinja2."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingExtra("a report", "report") from None
    environment = Environment(
        loader=PackageLoader("derlem.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": count, "size": size, "text": text, "when": when, "percent": percent}
    templates = files("derlem.report") / "templates"
    script = templates.joinpath("report.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template("report.html").render(
        facts=facts,
        version=__version__,
        script=script,
        script_hash=digest,
        style=templates.joinpath("report.css").read_text("utf-8"),
        tree=json.dumps(tree(facts.strata), ensure_ascii=False, separators=(",", ":")).replace(
            "<", "\\u003c"
        ),
        nodes=facts.nodes[:ROWS],
        histograms=[
            (title, unit, histogram(name, facts.histograms.get(name, ())), name)
            for name, title, unit in HISTOGRAMS
        ],
        sheets=[
            (sheet, [(item, data_url(workspace, item)) for item in sheet.items]) for sheet in facts.sheets
        ],
        rows=ROWS,
        top=_top(facts),
    )
    return Report(facts.corpus, page)


def _top(facts: Facts) -> Sequence[tuple[str, int, int]]:
    """Samples and bytes of the top categories, for readers without the icicle."""
    held: dict[str, list[int]] = {}
    for row in facts.strata:
        counts = held.setdefault(row["category"].partition("/")[0], [0, 0])
        counts[0] += row["samples"]
        counts[1] += row["bytes"]
    found = [(name, samples, size) for name, (samples, size) in held.items()]
    return sorted(found, key=lambda row: (-row[1], row[0]))


def count(number: float) -> str:
    """A number with thousands separators."""
    return f"{number:,}"


def size(number: float | None) -> str:
    """Bytes in the largest decimal unit below them."""
    value = float(number or 0)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def percent(part: float, whole: float) -> str:
    """A part of a whole in percent."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def text(value: Any) -> str:
    """A text from a source: its head, with control characters and marks of direction as visible escapes."""
    shown = str(value or "")
    return printable(shown[:TEXT]) + (" ..." if len(shown) > TEXT else "")


def when(value: datetime | str | None) -> str:
    """A time to the minute, UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.strftime("%Y-%m-%d %H:%M") if value else "-"
