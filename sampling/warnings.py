"""Warnings of a plan, one line each with its numbers: sources of duplicates, shares that yield to floors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from .bounds import Bounds
from .candidates import CandidateCounts
from .tree import Tree

POINT = Fraction(1, 100)
"""The difference between a share and its part of the seats that is not worth a warning."""
_OTHER_TEXT = "duplicate_other_text"
_DUPLICATES = ("duplicate", _OTHER_TEXT, "near_duplicate")


def duplicate_warnings(counts: CandidateCounts) -> list[str]:
    """Sources of which duplicates leave no candidate, and the number of duplicates with other texts."""
    available: Counter[str] = Counter()
    duplicates: Counter[str] = Counter()
    for stratum in counts.strata:
        available[stratum.source] += stratum.available
    for found in counts.exclusions:
        if found.reason in _DUPLICATES:
            duplicates[found.source] += found.items
    warnings = [
        f"{source}: no candidate is left, {items:,} items are duplicates of items of other sources"
        for source, items in sorted(duplicates.items())
        if not available[source]
    ]
    if other := sum(found.items for found in counts.exclusions if found.reason == _OTHER_TEXT):
        warnings.append(
            f"{other:,} items have the same images as a candidate and other texts; "
            "`sample.duplicates: image_and_text` keeps them"
        )
    return warnings


def yielding_shares(tree: Tree, bounds: Bounds, seats: Sequence[int]) -> list[str]:
    """Shares from which floors take, or to which floors add, more than a point of the seats above."""
    warnings = []
    for node in range(1, len(tree)):
        quota, total = tree.quota[node], seats[tree.parent[node]]
        if quota is None or quota.share is None or not total:
            continue
        given = Fraction(seats[node], total)
        above = given > quota.share.value
        if abs(given - quota.share.value) <= max(POINT, Fraction(1, total)):  # a place is rounding
            continue
        if (above and seats[node] == bounds.floor[node]) or (
            not above and seats[node] < bounds.cap[node] and _raised(tree, node, bounds, seats)
        ):
            warnings.append(
                f"{tree.label(node)}: share {quota.share} becomes {100 * float(given):.1f} % "
                f"({seats[node]:,} of {total:,}), because of floors"
            )
    return warnings


def _raised(tree: Tree, node: int, bounds: Bounds, seats: Sequence[int]) -> bool:
    """Whether a sibling has more seats than its weight gives, and no more than its floor."""
    siblings = tree.children(tree.parent[node])
    total, weights = seats[tree.parent[node]], sum(bounds.weight[child] for child in siblings)
    return any(
        seats[child] == bounds.floor[child]
        and 2 * (seats[child] * weights - total * bounds.weight[child]) > weights  # rounding aside
        for child in siblings
        if child != node
    )
