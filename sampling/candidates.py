"""Finds what can be drawn, and counts what cannot by reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb

from ..catalog.queries import query
from ..core.errors import ConfigError, UnknownManifest
from .dedup_index import load as load_dedup_index
from .exclusion import Fingerprinter, read_hashes
from .licensing import permitted
from .lookalikes import fill_clusters, fill_exclusions
from .relations import Relations
from .sample_options import SampleOptions
from .tree import Stratum

_CLOCK = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
"""What SQL lets one write without parentheses."""


@dataclass(frozen=True, slots=True)
class Census:
    """The candidates by stratum, and the items that are none by reason.

    `kept_items` are the items per (category, source) that an earlier sample holds; a stratum's `kept`
    counts their seats. `lost` seats of the earlier sample are no candidates any more.
    """

    strata: list[Stratum]
    excluded: dict[str, int]
    kept_items: dict[tuple[str, str], int] = field(default_factory=dict)
    lost: int = 0


def find_candidates(
    made: Relations, options: SampleOptions, earlier: str | None, fingerprints: Fingerprinter = read_hashes
) -> Census:
    """Put the candidates into `sample_candidates` and count them.

    `earlier` is a stored sample whose selections win over their duplicates and count as kept. Raises
    ConfigError for a predicate that DuckDB does not take, and UnknownManifest.
    """
    connection = made.connection
    made.table("sample_gone_sources", query("sampling/gone_sources"))
    _refuse_licenses(made, options)
    verdicts = _verdicts(connection, options)
    made.view("sample_verdicts", verdicts)
    made.view("sample_pool", query("sampling/pool"))
    made.view("sample_candidates", "SELECT * FROM sample_pool")
    if earlier is not None:
        require_manifest(connection, earlier)
        values = {"corpus": earlier, "max_repeats": options.max_repeats}
        made.table("sample_earlier", query("sampling/earlier"), values)
    load_dedup_index(made)
    # the predicate may ask for any column
    columns = "duplicate_columns" if options.where is None else "duplicate_rows"
    duplicates = f"WITH items AS ({query(f'sampling/{columns}')}) {verdicts}"
    made.view("sample_duplicate_verdicts", duplicates)
    made.view("sample_suspects", query("sampling/suspects"))
    try:
        if options.respect_opt_outs:
            made.table("sample_objecting", query("sampling/objecting"))
            if made.count("sample_objecting"):
                _lose(made, "opted_out")
        if options.exclude:
            fill_exclusions(made, options, fingerprints)
            _lose(made, "excluded")
        _lose(made, "duplicates")
        if options.near_duplicates is not None:
            fill_clusters(made, options.near_duplicates)
            _lose(made, "near_duplicates")
        rows = connection.execute(query("sampling/strata")).fetchall()
    except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
        if options.where is None:
            raise
        raise ConfigError(f"the predicate fails on some item: {error}", key="sample.where") from error
    kept: dict[tuple[str, str], tuple[int, int]] = {}
    lost = 0
    if earlier is not None:
        found = connection.execute(query("sampling/kept_seats")).fetchall()
        kept = {(category, source): (items, seats) for category, source, items, seats in found}
        before = connection.execute(
            "SELECT count(*) FROM manifest_items WHERE corpus = ?", [earlier]
        ).fetchall()
        lost = before[0][0] - sum(seats for _, seats in kept.values())
    return _census(rows, kept, lost)


def _lose(made: Relations, rule: str) -> None:
    """Take those that a rule finds out of the candidates.

    As long as there are none, the candidates are not compared with them: reading all ids for that would
    cost as much as the rule.
    """
    if made.add("sample_losers", query(f"sampling/{rule}")):
        made.view("sample_candidates", query("sampling/candidates"))


def require_manifest(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Raise UnknownManifest unless a sample of this name is stored."""
    known = [row[0] for row in connection.execute("SELECT corpus FROM manifests ORDER BY corpus").fetchall()]
    if name not in known:
        raise UnknownManifest(name, known)


def _census(
    rows: Sequence[tuple[str, str, str | None, int]], kept: dict[tuple[str, str], tuple[int, int]], lost: int
) -> Census:
    excluded: Counter[str] = Counter()
    strata = []
    for category, source, reason, items in rows:
        if reason is not None:
            excluded[reason] += items
        elif items:
            seats = kept.get((category, source), (0, 0))[1]
            strata.append(Stratum(category, source, items, seats))
    return Census(
        strata, dict(sorted(excluded.items())), {place: items for place, (items, _) in kept.items()}, lost
    )


def _refuse_licenses(made: Relations, options: SampleOptions) -> None:
    """List the licences among ready items that the rules refuse."""
    if options.licenses.allow is None and not options.licenses.deny:
        return
    found = made.connection.execute("SELECT DISTINCT license FROM items WHERE status = 'ready'").fetchall()
    refused = [name or "" for (name,) in found if not permitted(name, options.licenses)]
    made.fill("sample_refused_licenses", {"license": refused})


def _verdicts(connection: duckdb.DuckDBPyConnection, options: SampleOptions) -> str:
    text = query("sampling/verdicts")
    if options.where is not None:
        _check_predicate(connection, options.where)
        text = text.replace("/* where */ TRUE", options.where)
    return text


def _check_predicate(connection: duckdb.DuckDBPyConnection, predicate: str) -> None:
    """Raise ConfigError unless the predicate is one expression over `items` that is always the same."""
    try:
        statements = connection.extract_statements(f"SELECT 1 FROM items WHERE (\n{predicate}\n)")
        if len(statements) != 1:
            raise ConfigError("one SQL predicate over `items`, not several statements", key="sample.where")
        connection.execute(f"EXPLAIN SELECT coalesce((\n{predicate}\n), FALSE) FROM items")
    except duckdb.Error as error:
        raise ConfigError(f"not a predicate over `items`: {error}", key="sample.where") from error
    changing = connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
    ).fetchall()
    words = set(re.findall(r"\w+", predicate.lower()))
    called = set(re.findall(r"(\w+)\s*\(", predicate.lower()))
    fickle = sorted(called & {name for (name,) in changing} | words & _CLOCK)
    if fickle:
        raise ConfigError(
            f"{fickle[0]} gives another answer each time; a sample must be reproducible", key="sample.where"
        )
