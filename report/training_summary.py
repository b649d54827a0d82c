"""The public summary of training content: Article 53(1)(d) of the AI Act, Regulation (EU) 2024/1689.

The sections are those of the Commission's template (July 2025, C(2025) 8311). A corpus answers the parts on
data; `by_provider` names the parts that only the provider of a model can answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from .. import __version__
from ..catalog.queries import query
from ..core.errors import UnknownManifest
from ..core.printable import printable
from .facts import Row, rows

PART = 0.1
"""Part of all domain names that is listed, the largest first."""

KINDS = {
    "public": "2.1 Publicly available datasets",
    "crawled": "2.3 Data crawled and scraped from online sources",
    "other": "2.6 Other sources of data",
}
"""Sections of the template to which a corpus contributes, by kind of source."""

BY_PROVIDER = (
    "1.1 provider and authorized representative",
    "1.2 model, its versions, and the date of its placement on the market",
    "1.3 number of tokens of the texts",
    "2.2 whether a source was licensed by rightsholders or obtained from third parties",
    "2.4 data of users",
    "2.5 synthetic data",
    "3.2 measures against illegal content",
)
"""Parts of the template that no catalog can answer."""


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """The summary of a corpus; `values` is its content as JSON types."""

    corpus: str
    values: Mapping[str, Any]

    def json(self) -> str:
        """The summary as JSON."""
        return json.dumps(self.values, ensure_ascii=False, indent=1) + "\n"

    def markdown(self) -> str:
        """The summary as Markdown."""
        return _markdown(self.values)


def summarize(connection: duckdb.DuckDBPyConnection, corpus: str) -> TrainingSummary:
    """Summarize a stored manifest; withdrawn items are excluded. Raises UnknownManifest."""
    manifests = rows(connection, "SELECT * FROM manifests WHERE corpus = $corpus", corpus=corpus)
    if not manifests:
        known = connection.execute("SELECT corpus FROM manifests ORDER BY corpus").fetchall()
        raise UnknownManifest(corpus, [name for (name,) in known])
    sources = rows(connection, query("report/training_sources"), corpus=corpus)
    domains = rows(connection, query("report/training_domains"), corpus=corpus)
    config = json.loads(manifests[0]["config"])
    listed = math.ceil(len(domains) * PART)
    values = {
        "regulation": "Regulation (EU) 2024/1689, Article 53(1)(d)",
        "derlem": __version__,
        "corpus": corpus,
        "fingerprint": manifests[0]["fingerprint"],
        "general": {
            "modalities": ["image", "text"],
            "samples": _sum(sources, "samples"),
            "images": _sum(sources, "items"),
            "image_range": _range(_sum(sources, "items")),
            "image_bytes": _sum(sources, "bytes"),
            "text_characters": _sum(sources, "characters"),
            "collected_from": _time(min((row["collected_from"] for row in sources), default=None)),
            "collected_to": _time(max((row["collected_to"] for row in sources), default=None)),
            "languages": rows(connection, query("report/training_languages"), corpus=corpus),
        },
        "sources": [_source(row) for row in sources],
        "domains": {
            "known": len(domains),
            "listed": listed,
            "bytes": _sum(domains, "bytes"),
            "top": domains[:listed],
        },
        "licenses": rows(connection, query("report/training_licenses"), corpus=corpus),
        "opt_outs": {
            "respected": config.get("respect_opt_outs", True) is not False,
            "protocols": [
                "robots.txt (RFC 9309)",
                "X-Robots-Tag",
                "TDMRep",
                "AIPREF",
                "IPTC/PLUS DataMining",
            ],
            "found": [
                {**row, "in_corpus": row["stored"] and _stored(connection, corpus, row)}
                for row in rows(connection, query("report/opt_outs"))
            ],
        },
        "withdrawn": connection.execute("SELECT count(*) FROM items WHERE status = 'withdrawn'").fetchall()[
            0
        ][0],
        "by_provider": list(BY_PROVIDER),
    }
    return TrainingSummary(corpus, values)


def _stored(connection: duckdb.DuckDBPyConnection, corpus: str, row: Row) -> int:
    """Samples of the corpus whose publisher opts out by this signal."""
    text = query("report/training_opted_out")
    found = connection.execute(text, {"corpus": corpus, "source": row["source"], "signal": row["signal"]})
    return int(found.fetchall()[0][0])


def _source(row: Row) -> dict[str, Any]:
    declared = json.loads(row["config"] or "{}")
    dataset = declared.get("dataset") if row["adapter"] == "huggingface" else None
    hosted = isinstance(dataset, str) and dataset.count("/") == 1 and not dataset.startswith((".", "/", "~"))
    kind = "crawled" if row["adapter"] in ("urls", "scrape") else "public" if hosted else "other"
    return {
        "source": row["source"],
        "kind": kind,
        "dataset": f"https://huggingface.co/datasets/{dataset}" if hosted else None,
        "revision": declared.get("revision") if hosted else None,
        "start": declared.get("start") if row["adapter"] == "scrape" else None,
        "homepage": row["homepage"],
        "license": row["license"],
        **{name: row[name] for name in ("samples", "items", "bytes", "characters")},
        "collected_from": _time(row["collected_from"]),
        "collected_to": _time(row["collected_to"]),
    }


def _sum(found: Sequence[Row], column: str) -> int:
    return sum(row[column] or 0 for row in found)


def _time(value: datetime | None) -> str | None:
    return value.isoformat(timespec="seconds") if value else None


def _range(images: int) -> str:
    """The range of the template."""
    if images < 10**6:
        return "less than 1 million images"
    return "1 million to 1 billion images" if images <= 10**9 else "more than 1 billion images"


def _markdown(values: Mapping[str, Any]) -> str:
    general, domains, opt_outs = values["general"], values["domains"], values["opt_outs"]
    parts = [
        f"# Public summary of training content: {_cell(values['corpus'])}",
        f"For {values['regulation']}, by the Commission's template. From the manifest with fingerprint "
        f"`{values['fingerprint']}`; withdrawn items are excluded. Written by derlem {values['derlem']}.",
        "## 1. General information",
        "### 1.3 Modalities, size and characteristics",
        _table(
            ("", "training data"),
            [
                ("modalities", ", ".join(general["modalities"])),
                ("size", f"{general['image_range']}: {general['images']:,}"),
                ("samples", f"{general['samples']:,}"),
                ("bytes of images", f"{general['image_bytes']:,}"),
                ("characters of text", f"{general['text_characters']:,}"),
                ("collected", _period(general)),
            ],
        ),
        "Languages of the texts:",
        _table(
            ("language", "samples"),
            [(row["language"] or "(unknown)", f"{row['samples']:,}") for row in general["languages"]],
        ),
        "## 2. List of data sources",
    ]
    for kind, title in KINDS.items():
        found = [row for row in values["sources"] if row["kind"] == kind]
        parts += [f"### {title}", _sources(found) if found else "None."]
        if kind == "crawled" and domains["known"]:
            parts += [
                f"Images came from {domains['known']:,} domains; the largest tenth by size of content:",
                _table(
                    ("domain", "samples", "bytes"),
                    [(row["domain"], f"{row['samples']:,}", f"{row['bytes']:,}") for row in domains["top"]],
                ),
            ]
    parts += [
        "### Licenses",
        _table(
            ("license", "samples", "bytes"),
            [
                (row["license"] or "(none)", f"{row['samples']:,}", f"{row['bytes']:,}")
                for row in values["licenses"]
            ],
        ),
        "## 3. Aspects of data processing",
        "### 3.1 Respect of reservations of rights",
        f"Reservations were read from {', '.join(opt_outs['protocols'])}. Items with a reservation were "
        f"{'excluded from' if opt_outs['respected'] else 'not excluded from'} the draw.",
    ]
    if opt_outs["found"]:
        head = ("source", "signal", "items with a reservation", "rejected", "in the corpus")
        columns = ("items", "rejected", "in_corpus")
        parts.append(
            _table(
                head,
                [
                    (row["source"], row["signal"], *(f"{row[name]:,}" for name in columns))
                    for row in opt_outs["found"]
                ],
            )
        )
    parts += [
        f"{values['withdrawn']:,} items were withdrawn on request and are in no corpus.",
        "## For the provider of the model to add",
        "\n".join(f"- {part}" for part in values["by_provider"]),
    ]
    return "\n\n".join(parts) + "\n"


def _sources(found: Sequence[Row]) -> str:
    lines = [
        (
            row["source"],
            row["dataset"] or row["start"] or row["homepage"] or "",
            row["license"] or "",
            f"{row['samples']:,}",
            f"{row['bytes']:,}",
            _period(row),
        )
        for row in found
    ]
    return _table(("source", "origin", "declared license", "samples", "bytes", "collected"), lines)


def _period(row: Row) -> str:
    start, end = (str(row[name] or "")[:10] for name in ("collected_from", "collected_to"))
    return start if start == end else f"{start} to {end}"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    every = [head, ["---"] * len(head), *([_cell(cell) for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in every)


def _cell(text: str) -> str:
    """A text in Markdown that starts no markup, no link and no other cell."""
    shown = printable(" ".join(str(text).split()))
    for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "&#124;"), ("`", "&#96;")):
        shown = shown.replace(character, escaped)
    return shown.replace("[", "\\[").replace("]", "\\]").replace("*", "\\*").replace("_", "\\_")
