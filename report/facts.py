"""Collects the facts of a report from the catalog. Only contact sheets name items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from ..catalog.models import now
from ..catalog.queries import query
from ..core.errors import UnknownManifest
from ..sampling.diff import ManifestDiff, diff_manifests

Row = Mapping[str, Any]

IMAGES = 6
"""Images in a contact sheet."""
SHEETS = 24
"""Contact sheets in a report: the largest categories."""
RUNS = 20
"""Runs in a report: the newest."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A contact sheet: a category, the number of its samples, and rows of some of its items."""

    category: str
    samples: int
    items: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a report shows. Rows are those of the query of the same name in `sql/report/`.

    `corpus` is None where no manifest is stored: the report describes all ready items. `histograms` are by
    name. `audit` is the content of the last audit's record, `compared` the difference to another manifest.
    """

    at: datetime
    corpus: str | None
    manifest: Row | None
    shards: Row
    sources: Sequence[Row]
    strata: Sequence[Row]
    nodes: Sequence[Row]
    exclusions: Sequence[Row]
    funnel: Sequence[Row]
    losses: Sequence[Row]
    histograms: Mapping[str, Sequence[Row]]
    duplicates: Sequence[Row]
    opt_outs: Sequence[Row]
    runs: Sequence[Row]
    days: Sequence[Row]
    sheets: Sequence[Sheet]
    more_sheets: int
    audit: Row | None
    compared: ManifestDiff | None

    @property
    def samples(self) -> int:
        """Samples of the corpus, or ready items."""
        return sum(row["samples"] for row in self.strata)

    @property
    def bytes(self) -> int:
        """Bytes of their images."""
        return sum(row["bytes"] for row in self.strata)


def newest_corpus(connection: duckdb.DuckDBPyConnection) -> str | None:
    """The manifest that was drawn last; None if there is none."""
    found = connection.execute("SELECT corpus FROM manifests ORDER BY drawn_at DESC, number DESC").fetchone()
    return found[0] if found else None


def collect(
    connection: duckdb.DuckDBPyConnection,
    corpus: str | None,
    *,
    compare: str | None = None,
    audit: Row | None = None,
) -> Facts:
    """Collect the facts on a stored manifest, or on all ready items. Raises UnknownManifest."""
    manifest = None
    if corpus is not None:
        found = rows(connection, "SELECT * FROM manifests WHERE corpus = $corpus", corpus=corpus)
        if not found:
            known = connection.execute("SELECT corpus FROM manifests ORDER BY corpus").fetchall()
            raise UnknownManifest(corpus, [name for (name,) in known])
        manifest = found[0]
    describe_samples(connection, corpus)
    funnel = "SELECT * FROM funnel WHERE corpus IS NOT DISTINCT FROM $corpus"
    histograms: dict[str, list[Row]] = {}
    for row in rows(connection, query("report/distributions")):
        histograms.setdefault(row["histogram"], []).append(row)
    sheets, more = _sheets(connection)
    return Facts(
        at=now(),
        corpus=corpus,
        manifest=manifest,
        shards=rows(connection, query("report/shards"), corpus=corpus)[0],
        sources=rows(connection, "SELECT * FROM sources ORDER BY position, source"),
        strata=rows(connection, query("report/strata")),
        nodes=rows(connection, query("report/nodes"), corpus=corpus),
        exclusions=rows(
            connection,
            "SELECT reason, items FROM exclusions WHERE corpus = $corpus ORDER BY items DESC, reason",
            corpus=corpus,
        ),
        funnel=rows(connection, funnel, corpus=corpus),
        losses=rows(connection, query("report/losses")),
        histograms=histograms,
        duplicates=rows(connection, query("report/duplicates")),
        opt_outs=rows(connection, query("report/opt_outs")),
        runs=rows(connection, query("report/runs"), limit=RUNS),
        days=rows(connection, query("report/days")),
        sheets=sheets,
        more_sheets=more,
        audit=audit,
        compared=diff_manifests(connection, compare, corpus) if compare and corpus else None,
    )


def describe_samples(connection: duckdb.DuckDBPyConnection, corpus: str | None) -> None:
    """Make the view `report_samples` of a manifest, or of all ready items."""
    connection.execute("SET VARIABLE report_corpus = $corpus", {"corpus": corpus})
    connection.execute(query("report/samples"))


def rows(connection: duckdb.DuckDBPyConnection, sql: str, **values: Any) -> list[Row]:
    """The rows of a query by column name."""
    result = connection.execute(sql, values)
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _sheets(connection: duckdb.DuckDBPyConnection) -> tuple[list[Sheet], int]:
    """The contact sheets of the largest categories, and the number of the other categories."""
    found = rows(connection, query("report/sheets"), images=IMAGES)
    shown = found[:SHEETS]
    ids = [item for row in shown for item in row["ids"]]
    items = {row["item_id"]: row for row in rows(connection, query("report/sheet_items"), ids=ids)}
    sheets = [
        Sheet(row["sheet"], row["samples"], [items[item] for item in dict.fromkeys(row["ids"])])
        for row in shown
    ]
    return sheets, len(found) - len(shown)
