"""A plain reference of the sampling contract, seat by seat.

It shares no code with the package: it reads the options as plain data, counts with fractions and knows
nothing of divisors, key bounds or SQL.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

from .small_catalog import Place, Row

Options = Mapping[str, Any]


class Infeasible(Exception):
    """The quotas contradict each other or what there is."""


class Short(Exception):
    """The target is over what there is, and that is not allowed."""


def allocate(
    options: Options, counts: Mapping[Place, int], kept: Mapping[Place, int] | None = None
) -> dict[Place, int]:
    """Seats of every node."""
    return _Allocation(options, counts, kept).seats()


def bounds(options: Options, counts: Mapping[Place, int]) -> dict[Place, tuple[int, int]]:
    """(floor, cap) of every node."""
    allocation = _Allocation(options, counts, None)
    return {node: (allocation.floor[node], allocation.cap[node]) for node in allocation.cap}


def candidates(rows: Iterable[Row], sources: Sequence[str], earlier: set[str]) -> list[Row]:
    """Ready items, one for each content."""
    best: dict[str, tuple[Any, Row]] = {}
    for row in rows:
        if row.status == "ready":
            order = (row.item_id not in earlier, sources.index(row.source), row.item_id)
            if row.content not in best or order < best[row.content][0]:
                best[row.content] = order, row
    return [row for _, row in best.values()]


def sample(
    options: Options,
    rows: Iterable[Row],
    sources: Sequence[str],
    earlier: Sequence[tuple[str, int]] = (),
    *,
    extending: bool = False,
) -> list[tuple[str, int, str, str]]:
    """The manifest: (item_id, repeat, category, source), in the order of the corpus."""
    repeats = options.get("max_repeats", 1)
    found = candidates(rows, sources, {item for item, _ in earlier})
    strata: defaultdict[Place, list[Row]] = defaultdict(list)
    for row in found:
        strata[row.category, row.source].append(row)
    times = Counter(item for item, _ in earlier)
    held = {(row.item_id, repeat) for row in found for repeat in range(min(repeats, times[row.item_id]))}
    counts = {place: len(members) for place, members in strata.items()}
    kept = {
        place: sum((row.item_id, repeat) in held for row in members for repeat in range(repeats))
        for place, members in strata.items()
    }
    seats = allocate(options, counts, kept if extending else None)
    drawn = []
    for place, members in strata.items():
        order = sorted(
            ((row, repeat) for row in members for repeat in range(repeats)),
            key=lambda seat: (
                (seat[0].item_id, seat[1]) not in held,
                seat[1],
                _md5(f"{options['seed']}:{seat[0].item_id}"),
            ),
        )
        drawn += [(row.item_id, repeat, *place) for row, repeat in order[: seats[place]]]

    def by_position(seat: tuple[Any, ...]) -> tuple[Any, ...]:
        key = f"{seat[0]}-r{seat[1]}" if seat[1] else seat[0]
        return _md5(f"{options['seed']}:order:{key}"), seat[0], seat[1]

    return sorted(drawn, key=by_position)


class _Allocation:
    def __init__(
        self, options: Options, counts: Mapping[Place, int], kept: Mapping[Place, int] | None
    ) -> None:
        self.options, self.counts, self.kept = options, counts, kept
        self.target = options["target"]
        self.quota: dict[str, Options] = {}
        self._declare("", {**options, "children": options.get("quotas", {}), "min": None, "max": None})
        paths = {""}
        for path in [*self.quota, *(category for category, _ in counts)]:
            parts = path.split("/") if path else []
            paths |= {"/".join(parts[:end]) for end in range(len(parts) + 1)}
        self.children: dict[Place, list[Place]] = {}
        for path in paths:
            below = [p for p in paths if p and p.rpartition("/")[0] == path]
            sources = {s for c, s in counts if c == path} | set(self.quota.get(path, {}).get("sources", {}))
            self.children[path, ""] = sorted(
                [(p, "") for p in below] + [(path, s) for s in sources],
                key=lambda node: (node[1] != "", (node[1] or node[0].rpartition("/")[2]).encode()),
            )
        self.floor: dict[Place, int] = {}
        self.cap: dict[Place, int] = {}
        self._bound(("", ""))

    def _declare(self, path: str, quota: Options) -> None:
        self.quota[path] = quota
        for name, child in (quota.get("children") or {}).items():
            self._declare(f"{path}/{name}" if path else name, child or {})

    def _of(self, node: Place) -> Options:
        own = self.quota.get(node[0], {})
        return own.get("sources", {}).get(node[1], {}) if node[1] else own

    def _amount(self, value: Any) -> int:
        text = str(value)
        return int(Fraction(text[:-1]) * self.target / 100) if text.endswith("%") else int(value)

    def _bound(self, node: Place, barred: bool = False) -> None:
        quota = self._of(node) if node != ("", "") else {}
        barred = barred or str(quota.get("max")) in ("0", "0%")
        least, below = self._amount(quota.get("min") or 0), 0
        if node[1]:
            most = self.counts.get(node, 0) * self.options.get("max_repeats", 1)
            if self.counts.get(node, 0) and not barred:
                least = max(least, self.options.get("min_per_source", 1))
        else:
            for child in self.children[node]:
                self._bound(child, barred)
            most = sum(self.cap[child] for child in self.children[node])
            below = sum(self.floor[child] for child in self.children[node])
        cap = most if quota.get("max") is None else min(most, self._amount(quota["max"]))
        if self.kept is None:
            self.floor[node], self.cap[node] = max(least, below), cap
            if max(least, below) > cap:
                raise Infeasible(node)
        else:
            floor = max(min(least, cap), below, self.kept.get(node, 0) if node[1] else 0)
            self.floor[node], self.cap[node] = floor, max(cap, floor)

    def _balance(self, path: str) -> Any:
        while True:
            balance = self.quota.get(path, {}).get("balance")
            if balance is not None:
                return balance
            if not path:
                return "natural"
            path = path.rpartition("/")[0]

    def weights(self, node: Place) -> dict[Place, Fraction]:
        """Weights of the children of a node."""
        shares = {
            child: _fraction(self._of(child)["share"])
            for child in self.children[node]
            if self._of(child).get("share") is not None
        }
        if sum(shares.values()) > 1:
            raise Infeasible(node)
        base = {
            child: _weight(self.cap[child], self._balance(node[0]))
            for child in self.children[node]
            if child not in shares
        }
        rest = 1 - sum(shares.values())
        total = sum(base.values()) or Fraction(1)
        return {**shares, **{child: rest * weight / total for child, weight in base.items()}}

    def seats(self) -> dict[Place, int]:
        """Give out the target from the root on."""
        weights = {node: self.weights(node) for node in self.children}
        root = ("", "")
        if self.kept is None and self.floor[root] > self.target:
            raise Infeasible(root)
        total = max(min(self.target, self.cap[root]), self.floor[root])
        allowed = self.options.get("allow_shortfall") and (total or self.kept is not None)
        if self.cap[root] < self.target and not allowed:
            raise Short(self.cap[root])
        given = {root: total}
        pending = [root]
        while pending:
            node = pending.pop()
            children = self.children[node]
            for child in children:
                given[child] = self.floor[child]
            for _ in range(given[node] - sum(given[child] for child in children)):
                best = min(
                    (child for child in children if given[child] < self.cap[child]),
                    key=lambda child: (
                        (0, Fraction(2 * given[child] + 1) / weights[node][child])
                        if weights[node][child]
                        else (1, 0)
                    ),
                )  # min takes the first of equals, and children are in the order of ties
                given[best] += 1
            pending += [child for child in children if not child[1]]
        return given


def _fraction(value: Any) -> Fraction:
    text = str(value)
    return Fraction(text[:-1]) / 100 if text.endswith("%") else Fraction(text)


def _weight(cap: int, balance: Any) -> Fraction:
    if cap == 0:
        return Fraction(0)
    if balance == "natural":
        return Fraction(cap)
    if balance == "equal":
        return Fraction(1)
    exponent = _fraction(balance["temperature"])
    p, q = exponent.numerator, exponent.denominator
    low, high = 0, (cap**p + 1) << 33
    while high - low > 1:  # the greatest r with (r / 2^32)^q <= cap^p
        middle = (low + high) // 2
        if middle**q <= cap**p << (32 * q):
            low = middle
        else:
            high = middle
    return Fraction(low, 2**32)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def components(hashes: Sequence[int], distance: int) -> list[int]:
    """The component of every hash, as the index of its first member: all pairs are compared."""
    labels = list(range(len(hashes)))
    for one, other in combinations(range(len(hashes)), 2):
        if (hashes[one] ^ hashes[other]).bit_count() <= distance and labels[one] != labels[other]:
            low, high = sorted((labels[one], labels[other]))
            labels = [low if label == high else label for label in labels]
    return labels
