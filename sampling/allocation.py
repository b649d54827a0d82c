"""Divides the seats of every node among its children: Webster's method with floors and caps, exactly.

The definition is seat by seat: from the floors on, each seat goes to the child with the smallest
(2 * n + 1) / w among those below their cap, ties to the earlier one. Here all nodes of one depth are
done together. Floating point only brackets each node's divisor, with a margin that is over any rounding
error; the few seats that the bracket leaves open are ranked by exact integer keys.

Source of the method: Balinski and Young, Fair Representation (1982), on Webster's divisor method; the
seats below a divisor are a prefix of the seat-by-seat order, which is why a bracket is enough.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .bounds import Bounds
from .tree import Tree

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

_STEPS = 64
"""Halvings that separate any two positive doubles."""


def allocate(tree: Tree, bounds: Bounds) -> list[int]:
    """The seats of every node. Floors and caps hold everywhere, and children add up to their parent."""
    floor = np.array(bounds.floor, dtype=np.int64)
    cap = np.array(bounds.cap, dtype=np.int64)
    seats = np.zeros(len(tree), dtype=np.int64)
    seats[0] = bounds.total
    for start, end in zip(tree.levels[1:-1], tree.levels[2:], strict=True):
        parents = np.array(tree.parent[start:end], dtype=np.int64)
        firsts = np.flatnonzero(np.r_[True, parents[1:] != parents[:-1]])
        level = slice(start, end)
        seats[level] = _divide(bounds.weight[level], floor[level], cap[level], firsts, seats[parents[firsts]])
    return [int(count) for count in seats]


def _divide(weights: list[int], floor: _Ints, cap: _Ints, firsts: _Ints, totals: _Ints) -> _Ints:
    """Seats of all children on one level; group g begins at `firsts[g]` and has `totals[g]` seats."""
    sizes = np.diff(np.r_[firsts, len(weights)])
    group = np.repeat(np.arange(len(firsts)), sizes)
    relative = _relative(weights, firsts, sizes)
    weighty = relative > 0
    floors = np.add.reduceat(floor, firsts)
    room = np.add.reduceat(np.where(weighty, cap - floor, 0), firsts)
    wanted = floors + np.minimum(totals - floors, room)  # the rest goes to children of weight 0

    below, above = _divisor_bounds(relative, floor, cap, firsts, group, wanted)
    seats = below.copy()
    open_seats = wanted - np.add.reduceat(below, firsts)
    candidates = np.add.reduceat(above - below, firsts)
    for index in np.flatnonzero(open_seats):
        span = slice(int(firsts[index]), int(firsts[index] + sizes[index]))
        if candidates[index] == open_seats[index]:
            seats[span] = above[span]
        else:
            _give_by_keys(weights, seats, above, span, int(open_seats[index]))
    left = totals - wanted
    for index in np.flatnonzero(left):
        for child in range(int(firsts[index]), int(firsts[index] + sizes[index])):
            if not weighty[child]:
                given = min(int(cap[child] - seats[child]), int(left[index]))
                seats[child] += given
                left[index] -= given
    return seats


def _relative(weights: list[int], firsts: _Ints, sizes: _Ints) -> _Floats:
    """Weights over the greatest one of their group; integer division is correctly rounded at any size."""
    result = np.zeros(len(weights))
    if max(weights).bit_length() <= 53:
        exact = np.array(weights, dtype=np.float64)
        greatest = np.maximum.reduceat(exact, firsts)
        return np.asarray(exact / np.repeat(np.where(greatest > 0, greatest, 1.0), sizes))
    for first, size in zip(firsts.tolist(), sizes.tolist(), strict=True):
        of_group = weights[first : first + size]
        greatest_of_group = max(of_group) or 1
        result[first : first + size] = [weight / greatest_of_group for weight in of_group]
    return result


def _divisor_bounds(
    weight: _Floats, floor: _Ints, cap: _Ints, firsts: _Ints, group: _Ints, wanted: _Ints
) -> tuple[_Ints, _Ints]:
    """For every child a number of seats that it surely gets, and one that it surely does not exceed.

    With divisor d a child takes floor((d * w + 1) / 2) seats, within floor and cap. Computed a little
    low and a little high this gives counts on both sides of the exact one, whatever the rounding.
    """

    def counts(divisor: _Floats, side: int) -> _Ints:
        quotient = (divisor[group] * weight + 1) / 2
        quotient += side * (quotient * 2.0**-48 + 2.0**-20)
        return np.clip(np.floor(np.minimum(quotient, 2.0**62)), floor, cap).astype(np.int64)

    def sums(divisor: _Floats, side: int) -> _Ints:
        return np.asarray(np.add.reduceat(counts(divisor, side), firsts))

    with np.errstate(divide="ignore", invalid="ignore"):
        full = np.where(weight > 0, (4.0 * cap + 8.0) / weight, 1.0)
    low = np.zeros(len(firsts), dtype=np.int64)
    high = np.maximum.reduceat(full, firsts).view(np.int64)
    for _ in range(_STEPS):  # positive doubles are ordered as their bits are
        middle = low + (high - low) // 2
        enough = sums(middle.view(np.float64), 0) >= wanted
        high = np.where(enough, middle, high)
        low = np.where(enough, low, middle)
    margin = 2.0**-46
    while True:
        under, over = low.view(np.float64) * (1 - margin), high.view(np.float64) * (1 + margin)
        if (sums(under, 1) <= wanted).all() and (sums(over, -1) >= wanted).all():
            return counts(under, -1), counts(over, 1)
        margin = min(margin * 16, 1.0)


def _give_by_keys(weights: list[int], seats: _Ints, above: _Ints, span: slice, open_seats: int) -> None:
    """Give the open seats of one group to the candidates with the smallest exact (2 * n + 1) / w.

    Two such fractions that differ do so by at least 1 / (w1 * w2), so scaled by more than w^2 and
    rounded down they are still in order, and equal only if the fractions are.
    """
    scale = 2 * max(weights[span]).bit_length() + 2
    keys = [
        (((2 * seat + 1) << scale) // weights[child], child)
        for child in range(span.start, span.stop)
        for seat in range(int(seats[child]), int(above[child]))
    ]
    keys.sort()
    for _, child in keys[:open_seats]:
        seats[child] += 1
