"""Explains the seats of every node: its share, a floor, a cap, or the shortfall of siblings."""

from __future__ import annotations

from collections.abc import Sequence

from .bounds import Bounds
from .sample_options import SampleOptions, Temperature
from .tree import Tree

_NAMED = 3
"""Siblings that an explanation names before it only counts them."""


def explain(tree: Tree, bounds: Bounds, seats: Sequence[int], options: SampleOptions) -> list[str]:
    """One line per node, in the order of the tree."""
    why = [""] * len(tree)
    why[0] = _root(tree, bounds, options)
    for node in range(len(tree)):
        if tree.first[node] < tree.last[node]:
            _children(tree, node, bounds, seats, options, why)
    for node, text in bounds.relaxed.items():
        why[node] = f"{why[node]}; could not keep its quota: {text}"
    return why


def limits(tree: Tree, bounds: Bounds, options: SampleOptions) -> list[str]:
    """The nodes that keep the draw under its target: the highest ones that are full."""
    found = []
    pending = [0]
    while pending:
        node = pending.pop()
        children = tree.children(node)
        if node and (not children or bounds.cap[node] < sum(bounds.cap[child] for child in children)):
            found.append(f"{tree.label(node)}: {_limit(tree, node, bounds, options)}")
        else:
            pending.extend(reversed(children))
    return found


def _root(tree: Tree, bounds: Bounds, options: SampleOptions) -> str:
    if bounds.total < options.target:
        return f"shortfall: {bounds.total} of the target {options.target} can be had"
    return f"target {options.target}"


def _children(
    tree: Tree, node: int, bounds: Bounds, seats: Sequence[int], options: SampleOptions, why: list[str]
) -> None:
    children = tree.children(node)
    total, weights = seats[node], sum(bounds.weight[child] for child in children)
    full, raised, plain = [], [], []
    for child in children:
        # off by more than half a seat: rounding alone explains no more than that
        asked, given = total * bounds.weight[child], seats[child] * weights
        if seats[child] == bounds.cap[child]:
            full.append(child)
            why[child] = _limit(tree, child, bounds, options)
        elif seats[child] == bounds.floor[child] and 2 * (given - asked) > weights:
            raised.append(child)
            why[child] = _floor(tree, child, bounds, options)
        else:
            plain.append(child)
    short = [child for child in full if total * bounds.weight[child] >= (seats[child] + 1) * weights]
    more = f"; with the shortfall of {_names(tree, short)}" if short else ""
    less = f"; less for the floors of {_names(tree, raised)}" if raised else ""
    for child in plain:
        text = _claim(tree, child, bounds, total, weights)
        asked, given = total * bounds.weight[child], seats[child] * weights
        if 2 * (given - asked) > weights:
            text += more
        elif 2 * (asked - given) > weights:
            text += less
        why[child] = text


def _claim(tree: Tree, child: int, bounds: Bounds, total: int, weights: int) -> str:
    declared = _share(tree, child)
    if declared:
        return f"share {declared}"
    if not bounds.weight[child]:
        return "the shares of its siblings leave nothing, until they are full"
    balance = tree.balance[tree.parent[child]]
    way = f"temperature {balance.temperature}" if isinstance(balance, Temperature) else balance
    return f"{way}: {100 * bounds.weight[child] / weights:.4g} % of {total}"


def _share(tree: Tree, node: int) -> str:
    quota = tree.quota[node]
    return str(quota.share) if quota and quota.share else ""


def _limit(tree: Tree, node: int, bounds: Bounds, options: SampleOptions) -> str:
    quota, cap = tree.quota[node], bounds.cap[node]
    if quota and quota.max and quota.max.of(options.target) <= cap:
        return f"max {quota.max}"
    if not tree.available[node]:
        return "no candidates"
    if tree.source[node] or cap == tree.available[node] * options.max_repeats:
        repeats = f", {options.max_repeats} times each" if options.max_repeats > 1 else ""
        return f"all {tree.available[node]} available{repeats}"
    return f"all {cap} that the caps below it allow"


def _floor(tree: Tree, node: int, bounds: Bounds, options: SampleOptions) -> str:
    quota, floor = tree.quota[node], bounds.floor[node]
    if quota and quota.min and quota.min.of(options.target) == floor:
        return f"floor: min {quota.min}"
    if tree.source[node]:
        if tree.kept[node] == floor:
            return f"floor: {floor} kept from the earlier manifest"
        return f"floor: min_per_source {options.min_per_source}"
    return f"floor: {floor} for the floors below it"


def _names(tree: Tree, nodes: Sequence[int]) -> str:
    named = ", ".join(tree.name(node) for node in nodes[:_NAMED])
    more = len(nodes) - _NAMED
    return f"{named} and {more} more" if more > 0 else named
