"""Finds the candidates of a draw, and counts the items that are none by reason."""

from __future__ import annotations

from dataclasses import dataclass, field

import duckdb

from ..catalog.queries import query
from ..core.errors import UnknownManifest
from .dedup_index import load as load_dedup_index
from .exclusion import Fingerprinter, fill_exclusions, read_hashes
from .licensing import permitted
from .near_duplicates import fill_clusters
from .predicate import evaluate_predicate
from .sample_options import LicenseRules, SampleOptions
from .temp_tables import TempTables
from .tree import Stratum


@dataclass(frozen=True, slots=True)
class Excluded:
    """Items of one stratum that are no candidates, by reason: a rule, or the status of the items."""

    category: str
    source: str
    reason: str
    items: int


@dataclass(frozen=True, slots=True)
class CandidateCounts:
    """The candidates by stratum, and the items that are none by stratum and reason.

    `extending` is True if a stored manifest is extended: `kept_items` counts the items per (category, source)
    that it holds, and a stratum's `kept` their rows. `lost` of its rows are no candidates any more.
    """

    strata: list[Stratum]
    exclusions: tuple[Excluded, ...]
    kept_items: dict[tuple[str, str], int] = field(default_factory=dict)
    lost: int = 0
    extending: bool = False


def find_candidates(
    temp: TempTables, options: SampleOptions, fingerprints: Fingerprinter = read_hashes
) -> CandidateCounts:
    """Make `draw_candidates` and count it.

    An item is eligible by its own row (status, source, license). The rules then exclude eligible items, in
    this order: the predicate, opt-outs, exclusion lists, exact duplicates, near duplicates. Of duplicates an
    item of the extended manifest stays, else the one that `prefer` names. Raises UnknownManifest, and
    ConfigError for a predicate or an exclusion list that cannot be used.
    """
    connection = temp.connection
    load_dedup_index(temp)
    temp.table("draw_gone_sources", query("sampling/gone_sources"))
    _list_refused_licenses(temp, options)
    temp.view("draw_eligibility", query("sampling/eligibility"))
    temp.view("draw_candidates", query("sampling/candidates"))
    temp.view("draw_duplicate_candidates", query("sampling/duplicate_candidates"))
    extend = options.extend
    if extend == options.name and not is_stored(connection, extend):
        extend = None  # the first draw of a sample that grows in place
    if extend is not None:
        require_manifest(connection, extend)
        values = {"corpus": extend, "max_repeats": options.max_repeats}
        temp.table("draw_earlier", query("sampling/earlier"), values)
    if options.where is not None:
        evaluate_predicate(temp, options.where)
        temp.add("draw_excluded", query("sampling/unmatched"))
    if options.respect_opt_outs:
        temp.table("draw_objecting", query("sampling/objecting"))
        if temp.count("draw_objecting"):
            temp.add("draw_excluded", query("sampling/opted_out"))
    if options.exclude or options.near_duplicates is not None:
        temp.add("draw_more_images", query("duckdb/more_images"))
    if options.exclude:
        fill_exclusions(temp, options, fingerprints)
        temp.add("draw_excluded", query("sampling/excluded_images"))
    if options.duplicates != "none":
        by_text = options.duplicates == "image_and_text"
        values = {"prefer": options.prefer, "by_text": by_text}
        temp.add("draw_excluded", query("sampling/duplicates"), values)
    if options.near_duplicates is not None:
        fill_clusters(temp, options.near_duplicates)
        temp.add("draw_excluded", query("sampling/near_duplicates"), {"prefer": options.prefer})
    return _count(temp, extend)


def is_stored(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether a manifest of this name is stored."""
    return bool(connection.execute("SELECT 1 FROM manifests WHERE corpus = ?", [name]).fetchall())


def require_manifest(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Raise UnknownManifest unless a manifest of this name is stored."""
    found = connection.execute("SELECT corpus FROM manifests ORDER BY corpus").fetchall()
    known = [corpus for (corpus,) in found]
    if name not in known:
        raise UnknownManifest(name, known)


def _list_refused_licenses(temp: TempTables, options: SampleOptions) -> None:
    """Put the licenses of ready items that the rules refuse into `draw_refused_licenses`."""
    if options.licenses.allow is None and not options.licenses.deny:
        return
    temp.fill("draw_refused_licenses", {"license": refused_licenses(temp.connection, options.licenses)})


def refused_licenses(connection: duckdb.DuckDBPyConnection, rules: LicenseRules) -> list[str]:
    """The licenses of ready items that the rules refuse; '' for items without a license."""
    found = connection.execute("SELECT DISTINCT license FROM items WHERE status = 'ready'").fetchall()
    return sorted(name or "" for (name,) in found if not permitted(name, rules))


def _count(temp: TempTables, extend: str | None) -> CandidateCounts:
    connection = temp.connection
    kept_items: dict[tuple[str, str], int] = {}
    kept_rows: dict[tuple[str, str], int] = {}
    lost = 0
    if extend is not None:
        for category, source, items, copies in connection.execute(query("sampling/kept_strata")).fetchall():
            kept_items[category, source], kept_rows[category, source] = items, copies
        [(before,)] = connection.execute(
            "SELECT count(*) FROM manifest_items WHERE corpus = ?", [extend]
        ).fetchall()
        lost = before - sum(kept_rows.values())
    exclusions = []
    strata = []
    for category, source, reason, items in connection.execute(query("sampling/strata")).fetchall():
        if reason is not None:
            exclusions.append(Excluded(category, source, reason, items))
        elif items:
            strata.append(Stratum(category, source, items, kept_rows.get((category, source), 0)))
    exclusions.sort(key=lambda found: (found.category, found.source, found.reason))
    return CandidateCounts(strata, tuple(exclusions), kept_items, lost, extend is not None)
