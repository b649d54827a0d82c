"""Floors, caps and weights of every node, and the contradictions among them.

Weights are whole numbers, so that every platform divides seats alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from math import lcm

from .errors import InfeasibleQuotas, Problem
from .numbers import Share
from .sample_options import Balance, SampleOptions, Temperature
from .tree import Tree, nearest_sibling

ROOT_BITS = 32
"""Fractional bits of a temperature weight: cap^a is taken as floor(2^32 * cap^a) / 2^32."""


@dataclass(slots=True)
class Bounds:
    """By node of a tree: floor, cap, and weight among its siblings.

    `total` is the number of seats of the root: the target, or all there is if that is less (more than the
    target only where an extension must keep more). `relaxed` maps the nodes whose quota an extension
    could not keep to the reason.
    """

    floor: list[int]
    cap: list[int]
    weight: list[int]
    total: int = 0
    relaxed: dict[int, str] = field(default_factory=dict)


def bounds(tree: Tree, options: SampleOptions, *, extending: bool = False) -> Bounds:
    """Work out floors and caps from the leaves up, then weights.

    Raises InfeasibleQuotas, naming every node and number. With `extending` floors and caps give way
    to what was selected earlier, and to what has gone since; only shares over 1 are still an error.
    """
    result = Bounds([0] * len(tree), [0] * len(tree), [0] * len(tree))
    problems: list[Problem] = []
    barred = _barred(tree)
    for node in range(len(tree) - 1, -1, -1):
        least = 0 if barred[node] else options.min_per_source
        _bound(tree, node, options, least, result, problems, extending=extending)
    for node in range(len(tree)):
        if tree.first[node] < tree.last[node]:
            _weigh(tree, node, result, problems)
    if result.floor[0] > options.target:
        if extending:
            result.relaxed[0] = f"the floors need {result.floor[0]}, over the target of {options.target}"
        else:
            text = f"all floors together need {result.floor[0]}, over the target of {options.target}"
            problems.append(Problem("", "", text, result.floor[0], options.target))
    if problems:
        raise InfeasibleQuotas(sorted(problems, key=lambda problem: (problem.category, problem.source)))
    result.total = max(min(options.target, result.cap[0]), result.floor[0])
    return result


def _barred(tree: Tree) -> list[bool]:
    """By node: whether `max: 0` is declared for it or above it. Such strata have no `min_per_source`."""
    barred = [False] * len(tree)
    for node in range(len(tree)):
        quota = tree.quota[node]
        own = quota is not None and quota.max is not None and quota.max.value == 0
        barred[node] = own or (node > 0 and barred[tree.parent[node]])
    return barred


def _bound(
    tree: Tree,
    node: int,
    options: SampleOptions,
    least: int,
    result: Bounds,
    problems: list[Problem],
    *,
    extending: bool,
) -> None:
    """Set floor and cap of a node; a stratum with items has the floor `least` at least."""
    quota = tree.quota[node]
    maximum = quota.max.of(options.target) if quota and quota.max else None
    minimum = quota.min.of(options.target) if quota and quota.min else 0
    wanted = f"min {quota.min}" if quota and quota.min else ""
    if tree.source[node]:
        held, below = tree.available[node] * options.max_repeats, 0
        if tree.available[node] and least > minimum:
            minimum, wanted = least, f"min_per_source {least}"
    else:
        children = tree.children(node)
        held = sum(result.cap[child] for child in children)
        below = sum(result.floor[child] for child in children)
    cap = held if maximum is None else min(maximum, held)
    floor = max(minimum, below)
    if extending:
        floor = max(min(minimum, cap), below, tree.kept[node] if tree.source[node] else 0)
        if floor > cap:
            result.relaxed[node] = f"{floor} must stay or are floors below it, over max {maximum}"
        elif minimum > floor:
            result.relaxed[node] = f"{wanted} is over the {cap} that can be had"
        cap = max(cap, floor)
    elif floor > cap:
        if minimum >= below:
            percentage = f" ({minimum})" if wanted.endswith("%") else ""
            what = f"{wanted}{percentage} is"
        else:
            what = f"the floors below it, {below} together, are"
        over = (
            f"max {maximum}" if maximum is not None and maximum < held else _holds(tree, node, held, options)
        )
        text = f"{tree.label(node)}: {what} over {over}"
        problems.append(Problem(tree.category[node], tree.source[node], text, floor, cap))
        floor = cap
    result.floor[node], result.cap[node] = floor, cap


def _holds(tree: Tree, node: int, held: int, options: SampleOptions) -> str:
    available = tree.available[node]
    if held == available * options.max_repeats:
        repeats = f" times {options.max_repeats} repeats" if options.max_repeats > 1 else ""
        hint = "" if available or not node else nearest_sibling(tree, node)
        return f"the {available} available{repeats}{hint}"
    return f"the {held} that the caps below it allow ({available} available)"


def _weigh(tree: Tree, node: int, result: Bounds, problems: list[Problem]) -> None:
    children = tree.children(node)
    quotas = (tree.quota[child] for child in children)
    shares = [quota.share if quota else None for quota in quotas]
    declared: Fraction | int = sum(share.value for share in shares if share)
    if declared > 1:
        listed = ", ".join(
            f"{tree.name(child)} {share}" for child, share in zip(children, shares, strict=True) if share
        )
        text = f"{tree.label(node)}: the shares below it are over 1: {listed}"
        problems.append(Problem(tree.category[node], "", text, 0, 0))
        return
    weights = sibling_weights(shares, [result.cap[child] for child in children], tree.balance[node])
    result.weight[children.start : children.stop] = weights


def sibling_weights(shares: Sequence[Share | None], caps: Sequence[int], balance: Balance) -> list[int]:
    """Weights of the children of one node, scaled to integers by a common factor.

    A child with a share weighs its share. The others divide what the shares leave in proportion to
    `balance_weight` of their caps; one that can hold nothing takes no part in that.
    """
    base = [0 if share else balance_weight(cap, balance) for share, cap in zip(shares, caps, strict=True)]
    declared = [share.value for share in shares if share]
    if not declared:
        return base
    denominator = lcm(*(value.denominator for value in declared))
    rest = int((1 - sum(declared)) * denominator)
    total = sum(base) or 1
    return [
        int(share.value * denominator) * total if share else rest * weight
        for share, weight in zip(shares, base, strict=True)
    ]


def balance_weight(cap: int, balance: Balance) -> int:
    """What a sibling with this cap weighs among those without a share."""
    if cap == 0:
        return 0
    if balance == "natural":
        return cap
    if balance == "equal":
        return 1
    assert isinstance(balance, Temperature)
    exponent = balance.temperature
    return power(cap, exponent.numerator, exponent.denominator)


@lru_cache(maxsize=1 << 18)
def power(base: int, numerator: int, denominator: int) -> int:
    """floor(2^32 * base^(numerator/denominator)), exactly.

    The result is defined by integers alone: it is the largest r with
    r^denominator <= base^numerator * 2^(32 * denominator). A decimal estimate gives it where no integer lies
    within the error of the estimate; otherwise, such as for a square and the exponent 1/2, integers decide.
    """
    if denominator == 1 or base == 1:
        return int(base**numerator) << ROOT_BITS
    digits = len(str(base)) * numerator // denominator + len(str(base)) + 10
    with localcontext() as context:
        context.prec = digits + 20
        exponent = Decimal(numerator) / Decimal(denominator)
        estimate = (Decimal(base).ln() * exponent).exp() * (1 << ROOT_BITS)
        # each step is rounded to the precision; the exponential multiplies the error by the logarithm
        error = estimate.scaleb(5 - context.prec)
        low, high = int(estimate - error), int(estimate + error)
    if low == high:
        return low
    bound = int(base**numerator) << (ROOT_BITS * denominator)
    return high if high**denominator <= bound else low
