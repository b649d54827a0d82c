"""Connected components of 64-bit hashes, where hashes that differ in at most a few bits are joined.

Two hashes that differ in at most d bits agree on at least b - d of b blocks of bits, wherever the blocks are
cut (pigeonhole). So for every choice of b - d blocks (a mask), hashes are sorted by the bits of the mask, and
only those that agree on it are compared. More blocks mean more sorts with fewer chance meetings; the cheapest
number is taken for the size at hand.
Source of the method: Manku, Jain and Das Sarma, Detecting Near-Duplicates for Web Crawling (2007).

Hashes that agree on a mask need comparing only while they are in different components, so that dense clusters
(thousands of near-blank scans, which all agree on most masks) are not compared pair by pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise
from math import comb

import numpy as np
import numpy.typing as npt

BITS = 64
MAX_COMPARISONS = 10**10
"""Comparisons that are accepted for a set of hashes: about ten minutes."""

_SMALL = 64
"""Size of a group up to which all pairs are compared, in all such groups at once; others are searched."""
_BLOCK = 1 << 18
"""Comparisons that are made at once: bounds the memory."""

Hashes = npt.NDArray[np.uint64]
Labels = npt.NDArray[np.int64]


class TooManyComparisons(ValueError):
    """A distance at which banding does not separate so many hashes; `largest` is feasible for them."""

    def __init__(self, distance: int, hashes: int, comparisons: float, largest: int) -> None:
        self.distance, self.hashes, self.largest = distance, hashes, largest
        super().__init__(
            f"a distance of {distance} bits takes {comparisons:.0e} comparisons of {hashes:,} different "
            f"hashes, over the limit of {MAX_COMPARISONS:.0e}; the largest possible distance for them is "
            f"{largest}"
        )


def masks(distance: int, hashes: int) -> Iterator[int]:
    """Masks of 64 bits such that any two hashes within `distance` agree on the bits of one of them.

    `hashes` is how many are to be compared with each other. Raises TooManyComparisons.
    """
    blocks, comparisons = _cheapest(distance, hashes)
    if comparisons > MAX_COMPARISONS:
        smaller = range(distance - 1, -1, -1)
        feasible = [bits for bits in smaller if _cheapest(bits, hashes)[1] <= MAX_COMPARISONS]
        raise TooManyComparisons(distance, hashes, comparisons, feasible[0] if feasible else 0)
    edges = [BITS * block // blocks for block in range(blocks + 1)]
    pieces = [(1 << end) - (1 << start) for start, end in pairwise(edges)]
    return (sum(chosen) for chosen in combinations(pieces, blocks - distance))


def _cheapest(distance: int, hashes: int) -> tuple[int, float]:
    """The cheapest number of blocks, and the comparisons that it takes for evenly distributed hashes."""
    costs = {count: _cost(count, distance, hashes) for count in range(distance + 1, BITS + 1)}
    blocks = min(costs, key=lambda count: costs[count])
    return blocks, costs[blocks]


def _cost(blocks: int, distance: int, hashes: int) -> float:
    kept = blocks - distance
    bits = kept * (BITS // blocks)
    return comb(blocks, kept) * (hashes + hashes * hashes / 2.0 ** (bits + 1))


def components(hashes: Hashes, distance: int) -> Labels:
    """The component of every hash, as the index of its first member; `hashes` ascend and are all different.

    Hashes within `distance` bits of each other are in one component. Raises TooManyComparisons.
    """
    labels = np.arange(len(hashes), dtype=np.int64)
    if distance == 0 or len(hashes) < 2:
        return labels
    for mask in masks(distance, len(hashes)):
        keys = hashes & np.uint64(mask)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        sizes = np.diff(np.r_[starts, len(keys)])
        small = np.repeat((sizes > 1) & (sizes <= _SMALL), sizes)
        labels = _join_small(hashes, labels, order[small], keys[small], distance)
        large = sizes > _SMALL
        for start, size in zip(starts[large].tolist(), sizes[large].tolist(), strict=True):
            _join_group(hashes, labels, order[start : start + size], distance)
        labels = _flat(labels)
    return labels


def _join_small(hashes: Hashes, labels: Labels, order: Labels, keys: Hashes, distance: int) -> Labels:
    """Join the hashes of groups of equal keys: all pairs, those at the same places of all groups at once."""
    pairs = []
    for step in range(1, _SMALL):
        same = np.flatnonzero(keys[step:] == keys[:-step])
        if not len(same):
            break
        one, other = order[same], order[same + step]
        apart = labels[one] != labels[other]
        one, other = one[apart], other[apart]
        close = np.bitwise_count(hashes[one] ^ hashes[other]) <= distance
        pairs.append((one[close], other[close]))
    if not pairs:
        return labels
    one, other = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return join(labels, one, other)


def join(labels: Labels, one: Labels, other: Labels) -> Labels:
    """Join the components of each pair of hashes; labels are those of `components`, before and after."""
    while True:
        low, high = np.minimum(labels[one], labels[other]), np.maximum(labels[one], labels[other])
        apart = low != high
        if not apart.any():
            return labels
        one, other = one[apart], other[apart]
        np.minimum.at(labels, high[apart], low[apart])
        labels = _flat(labels)


def _flat(labels: Labels) -> Labels:
    """The labels after following each one to the first member of its component."""
    while True:
        followed = labels[labels]
        if np.array_equal(followed, labels):
            return labels
        labels = followed


def _join_group(hashes: Hashes, labels: Labels, group: Labels, distance: int) -> None:
    """Join the hashes of one large group, without comparing two that are known to be in one component.

    A component grows from one of its hashes: those that are close to its members join it, with all members
    of their components, until no other hash is close to any member.
    """
    own = _roots(labels, group)
    values = hashes[group]
    left = np.arange(len(group))
    while len(left):
        inside = own[left] == own[left[0]]
        joined = [own[left[:1]]]
        members, rest = left[inside], left[~inside]
        while len(members) and len(rest):
            count = max(1, min(_BLOCK // len(rest), len(members)))
            differences = values[members[:count], None] ^ values[rest]
            close = (np.bitwise_count(differences) <= distance).any(axis=0)
            members = members[count:]
            if close.any():
                found = np.unique(own[rest[close]])
                joins = np.isin(own[rest], found)
                members, rest = np.concatenate([members, rest[joins]]), rest[~joins]
                joined.append(found)
        roots = np.concatenate(joined)
        labels[roots] = roots.min()
        left = rest


def _roots(labels: Labels, hashes: Labels) -> Labels:
    """The first member of the component of each of these hashes."""
    roots = labels[hashes]
    while not np.array_equal(followed := labels[roots], roots):
        roots = followed
    return roots
