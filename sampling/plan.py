"""Plans a draw: the seats of every node of the category tree, and why. Reads the catalog and writes nothing.

The steps: candidates are counted by stratum, the tree spans strata and quotas, bounds and weights follow from
the leaves up, and the allocation gives every node its seats.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb

from .allocation import allocate
from .bounds import bounds
from .candidates import CandidateCounts, Excluded, find_candidates
from .errors import Shortfall
from .exclusion import Fingerprinter, read_hashes
from .explain import explain, limits
from .sample_options import SampleOptions
from .temp_tables import temp_tables
from .tree import build_tree, idle_quotas, label
from .warnings import duplicate_warnings, yielding_shares

log = logging.getLogger("derlem.sample")


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node of the category tree: a category, or a source in it (`source` is '' for the category)."""

    category: str
    source: str
    available: int
    share: str | None
    floor: int
    cap: int
    kept: int
    allocated: int
    why: str

    @property
    def depth(self) -> int:
        """Levels below the root; a source stands one below its category."""
        return (self.category.count("/") + 1 if self.category else 0) + bool(self.source)

    @property
    def label(self) -> str:
        """The node in messages and tables."""
        return label(self.category, self.source)


@dataclass(frozen=True, slots=True)
class Plan:
    """The allocation of a manifest. `nodes` come depth first, the root first.

    `exclusions` counts the items that are no candidates by stratum and reason. `lost` counts the rows of the
    extended manifest (`options.extend`) that are no candidates any more.
    """

    options: SampleOptions
    nodes: tuple[NodePlan, ...]
    exclusions: tuple[Excluded, ...]
    lost: int
    warnings: tuple[str, ...]

    @property
    def excluded(self) -> dict[str, int]:
        """The items that are no candidates by reason."""
        return count_reasons(self.exclusions)

    @property
    def total(self) -> int:
        """Seats of the root."""
        return self.nodes[0].allocated

    @property
    def shortfall(self) -> int:
        """The target less the seats of the root."""
        return max(0, self.options.target - self.total)


def plan_sample(
    connection: duckdb.DuckDBPyConnection,
    options: SampleOptions,
    *,
    fingerprints: Fingerprinter = read_hashes,
) -> Plan:
    """The plan of a draw; with `options.extend` of one that extends a stored manifest.

    The connection may be read-only. `fingerprints` reads excluded folders and datasets. Raises
    InfeasibleQuotas, Shortfall, ConfigError, UnknownManifest.
    """
    with temp_tables(connection) as temp:
        return make_plan(find_candidates(temp, options, fingerprints), options)


def make_plan(counts: CandidateCounts, options: SampleOptions) -> Plan:
    """Allocate the seats to the counted candidates."""
    tree = build_tree(options, counts.strata)
    warnings = [*idle_quotas(tree), *duplicate_warnings(counts)]
    limit = bounds(tree, options, extending=counts.extending)
    allowed = options.allow_shortfall and (limit.total or counts.extending)
    if limit.total < options.target and not allowed:
        reasons = count_reasons(counts.exclusions)
        excluded = [f"{count} items are no candidates: {reason}" for reason, count in reasons.items()]
        causes = [*limits(tree, limit, options), *warnings, *(excluded if not limit.total else ())]
        raise Shortfall(options.target, limit.total, causes)
    seats = allocate(tree, limit)
    why = explain(tree, limit, seats, options)
    warnings += yielding_shares(tree, limit, seats)
    nodes = [
        NodePlan(
            category=tree.category[node],
            source=tree.source[node],
            available=tree.available[node],
            share=str(quota.share) if (quota := tree.quota[node]) and quota.share else None,
            floor=limit.floor[node],
            cap=limit.cap[node],
            kept=tree.kept[node],
            allocated=seats[node],
            why=why[node],
        )
        for node in _depth_first(tree.first, tree.last)
    ]
    warnings += [f"{tree.label(node)}: {text}" for node, text in sorted(limit.relaxed.items())]
    if limit.total < options.target:
        warnings.append(f"the target is {options.target}, but only {limit.total} can be had")
    for warning in warnings:
        log.warning("%s", warning)
    return Plan(options, tuple(nodes), counts.exclusions, counts.lost, tuple(warnings))


def count_reasons(exclusions: Iterable[Excluded]) -> dict[str, int]:
    """The sums of excluded items by reason, in the order of reasons."""
    counts: Counter[str] = Counter()
    for found in exclusions:
        counts[found.reason] += found.items
    return dict(sorted(counts.items()))


def _depth_first(first: Sequence[int], last: Sequence[int]) -> list[int]:
    order, pending = [], [0]
    while pending:
        node = pending.pop()
        order.append(node)
        pending.extend(range(last[node] - 1, first[node] - 1, -1))
    return order
