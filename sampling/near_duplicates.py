"""Clusters of near duplicates: difference hashes within a few bits of each other, without all comparisons.

Two 64-bit hashes that differ in at most d bits agree on at least b - d of b blocks, wherever the cuts are
(pigeonhole). So for every choice of b - d blocks, hashes are joined on these and only then compared.
More blocks mean more joins with fewer chance meetings; the cheapest number is taken for the size at hand.
Source of the method: Manku, Jain and Das Sarma, Detecting Near-Duplicates for Web Crawling (2007).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations, pairwise
from math import comb

from ..catalog.queries import query
from .temp_tables import TempTables

BITS = 64
_HALF = 32

_FETCHED = 100_000
"""Pairs that are fetched at a time."""


def fill_clusters(temp: TempTables, distance: int) -> None:
    """Make `draw_clusters`: each hash that is within `distance` bits of another one, with its cluster."""
    temp.table("draw_dhashes", query("sampling/dhashes"))
    joined = clusters(_pairs(temp, distance))
    if joined:
        temp.fill("draw_clusters", {"dhash": list(joined), "cluster": list(joined.values())})


def _pairs(temp: TempTables, distance: int) -> Iterator[tuple[str, str]]:
    for high, low in masks(distance, temp.count("draw_dhashes")):
        values = {"high": high, "low": low, "distance": distance}
        result = temp.connection.execute(query("sampling/near_pairs"), values)
        while rows := result.fetchmany(_FETCHED):
            yield from rows


def masks(distance: int, hashes: int) -> Iterator[tuple[int, int]]:
    """Bit masks (high and low 32 bits) such that any two hashes within `distance` agree on one of them.

    `hashes` is how many are to be compared with each other.
    """
    blocks = min(range(distance + 1, BITS + 1), key=lambda count: _cost(count, distance, hashes))
    edges = [BITS * block // blocks for block in range(blocks + 1)]
    pieces = [(1 << end) - (1 << start) for start, end in pairwise(edges)]
    for chosen in combinations(pieces, blocks - distance):
        mask = sum(chosen)
        yield mask >> _HALF, mask & ((1 << _HALF) - 1)


def _cost(blocks: int, distance: int, hashes: int) -> float:
    kept = blocks - distance
    bits = kept * (BITS // blocks)
    return comb(blocks, kept) * (hashes + hashes * hashes / 2.0 ** (bits + 1))


def clusters(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The smallest member of the cluster of every hash: hashes joined by any chain of pairs."""
    above: dict[str, str] = {}

    def root(member: str) -> str:
        above.setdefault(member, member)
        while above[member] != member:
            above[member] = above[above[member]]
            member = above[member]
        return member

    for a, b in pairs:
        first, second = sorted((root(a), root(b)))
        above[second] = first
    return {member: root(member) for member in above}
