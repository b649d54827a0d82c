"""A plain reference of the sampling contract, seat by seat, and catalogs small enough to check by hand.

The reference shares no code with the package: it reads the options as plain data, counts with fractions
and knows nothing of divisors, brackets or SQL.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import strategies as st

from tests.factories.catalog import (
    insert,
    insert_items,
    insert_segment,
    item_row,
    memory_catalog,
    source_row,
    store_manifest,
)

Options = Mapping[str, Any]
Place = tuple[str, str]
"""(category, source); the source of a category itself is ''."""


class Infeasible(Exception):
    """The quotas contradict each other or what there is."""


class Short(Exception):
    """The target is over what there is, and that is not allowed."""


@dataclass(frozen=True)
class Row:
    """An item of a test catalog."""

    item_id: str
    source: str
    category: str
    content: str
    status: str = "ready"


class Reference:
    """The contract, written down as it reads."""

    Infeasible = Infeasible
    Short = Short

    def allocate(
        self, options: Options, counts: Mapping[Place, int], kept: Mapping[Place, int] | None = None
    ) -> dict[Place, int]:
        """Seats of every node."""
        return _Allocation(options, counts, kept).seats()

    def bounds(self, options: Options, counts: Mapping[Place, int]) -> dict[Place, tuple[int, int]]:
        """(floor, cap) of every node."""
        allocation = _Allocation(options, counts, None)
        return {node: (allocation.floor[node], allocation.cap[node]) for node in allocation.cap}

    def candidates(self, rows: Iterable[Row], sources: Sequence[str], earlier: set[str]) -> list[Row]:
        """Ready items, one for each content."""
        best: dict[str, tuple[Any, Row]] = {}
        for row in rows:
            if row.status == "ready":
                order = (row.item_id not in earlier, sources.index(row.source), row.item_id)
                if row.content not in best or order < best[row.content][0]:
                    best[row.content] = order, row
        return [row for _, row in best.values()]

    def sample(
        self,
        options: Options,
        rows: Iterable[Row],
        sources: Sequence[str],
        earlier: Sequence[tuple[str, int]] = (),
        *,
        extending: bool = False,
    ) -> list[tuple[str, int, str, str]]:
        """The manifest: (item_id, repeat, category, source), in the order of the corpus."""
        repeats = options.get("max_repeats", 1)
        found = self.candidates(rows, sources, {item for item, _ in earlier})
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
        seats = self.allocate(options, counts, kept if extending else None)
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
        return sorted(drawn, key=lambda seat: (_md5(f"{options['seed']}:order:{seat[0]}"), seat[0], seat[1]))


class _Allocation:
    def __init__(self, options: Options, counts: Mapping[Place, int], kept: Mapping[Place, int] | None):
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

    def _bound(self, node: Place) -> None:
        quota = self._of(node) if node != ("", "") else {}
        least, below = self._amount(quota.get("min") or 0), 0
        if node[1]:
            most = self.counts.get(node, 0) * self.options.get("max_repeats", 1)
            if self.counts.get(node, 0):
                least = max(least, self.options.get("min_per_source", 1))
        else:
            for child in self.children[node]:
                self._bound(child)
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
        if self.cap[root] < self.target and not self.options.get("allow_shortfall"):
            raise Short(self.cap[root])
        given = {root: max(min(self.target, self.cap[root]), self.floor[root])}
        pending = [root]
        while pending:
            node = pending.pop()
            children = self.children[node]
            for child in children:
                given[child] = self.floor[child]
            for _ in range(given[node] - sum(given[child] for child in children)):
                winner = min(
                    (child for child in children if given[child] < self.cap[child]),
                    key=lambda child: (
                        (0, Fraction(2 * given[child] + 1) / weights[node][child])
                        if weights[node][child]
                        else (1, 0)
                    ),
                )  # min takes the first of equals, and children are in the order of ties
                given[winner] += 1
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


class SmallCatalog:
    """A catalog in memory that can be filled again and again."""

    def __init__(self) -> None:
        self.connection = memory_catalog()

    def fill(self, rows: Sequence[Row], sources: Sequence[str], **columns: Mapping[str, Any]) -> None:
        """Replace everything by these rows, in this order; `columns` give values by item_id.

        One thread, until a test sets more: on so few rows, threads cost a third of the time.
        """
        self.connection.execute("SET threads = 1")
        tables = ("sources", "items", "manifests", "manifest_rows", "allocations", "exclusions")
        self.connection.execute("; ".join(f"DELETE FROM {table}" for table in tables))
        insert(self.connection, "sources", [source_row(name, place) for place, name in enumerate(sources)])
        self.add(rows, **columns)
        if not rows:
            self.merged()

    def merged(self) -> None:
        """Count one more segment: items have changed, and in a workspace only segments change them."""
        insert_segment(self.connection)

    def add(self, rows: Sequence[Row], **columns: Mapping[str, Any]) -> None:
        """Append items."""
        if not rows:
            return
        items = [
            item_row(
                item_id=row.item_id,
                source=row.source,
                uri=row.item_id,
                ordinal=ordinal,
                category=row.category,
                status=row.status,
                sha256=hashlib.sha256(row.content.encode()).hexdigest(),
                **{name: given[row.item_id] for name, given in columns.items() if row.item_id in given},
            )
            for ordinal, row in enumerate(rows)
        ]
        insert_items(self.connection, items)
        self.merged()

    def hold(self, name: str, rows: Sequence[tuple[str, int]]) -> None:
        """Store a manifest by hand: (item_id, repeat) in any order."""
        store_manifest(self.connection, name, rows)

    def manifest(self, name: str) -> list[tuple[str, int, str, str]]:
        """(item_id, repeat, category, source) in order; positions are checked to be 0, 1, 2, ..."""
        rows = self.connection.execute(
            "SELECT position, item_id, repeat, category, source "
            "FROM manifest WHERE corpus = ? ORDER BY position",
            [name],
        ).fetchall()
        assert [row[0] for row in rows] == list(range(len(rows)))
        return [row[1:] for row in rows]

    def seats(self, name: str) -> dict[Place, int]:
        """What the allocations say."""
        return {
            (node, source): allocated
            for node, source, allocated in self.connection.execute(
                "SELECT node, source, allocated FROM allocations WHERE corpus = ?", [name]
            ).fetchall()
        }


@pytest.fixture(scope="session")
def reference() -> Reference:
    return Reference()


@pytest.fixture(scope="module")
def small_catalog() -> Iterable[SmallCatalog]:
    catalog = SmallCatalog()
    yield catalog
    catalog.connection.close()


@pytest.fixture(scope="session")
def make_row() -> type[Row]:
    return Row


NAMES = ["a", "b", "ab", "Z", "ç", "ş", "﹏", "𝔞"]  # the last two: order by UTF-16 would differ from UTF-8
SOURCES = ["s1", "s0", "s2", "s10"]


class Cases:
    """Random quotas over random trees: depth to 5, ties, empty nodes, shares, binding floors and caps."""

    @st.composite
    @staticmethod
    def places(draw: st.DrawFn) -> list[Place]:
        """Some strata."""
        paths = st.lists(st.sampled_from(NAMES[: draw(st.integers(1, 8))]), max_size=5).map("/".join)
        some = st.tuples(paths, st.sampled_from(SOURCES))
        return draw(st.lists(some, min_size=1, max_size=12, unique=True))

    @st.composite
    @staticmethod
    def quotas(draw: st.DrawFn, places: Sequence[Place], *, percentages: bool = True) -> dict[str, Any]:
        """`quotas` and `sources` for some of the nodes above these strata, and for some that hold nothing."""
        root: dict[str, Any] = {}
        for place in draw(st.lists(st.sampled_from(list(places)), max_size=4)):
            parts = place[0].split("/") if place[0] else []
            node = root
            for part in parts[: draw(st.integers(0, len(parts)))]:
                node = node.setdefault("children", {}).setdefault(part, {})
                if draw(st.booleans()):
                    for key in ("share", "min", "max"):  # of an earlier visit
                        node.pop(key, None)
                    node.update(draw(_quota(percentages)))
                    if draw(st.integers(0, 3)) == 0:
                        node["balance"] = draw(BALANCES)
            if draw(st.booleans()):
                node.setdefault("sources", {})[place[1]] = draw(_quota(percentages))
            if draw(st.integers(0, 9)) == 0:
                node.setdefault("children", {})["nothing"] = draw(_quota(percentages))
        return {"quotas": root.get("children", {}), "sources": root.get("sources", {})}


BALANCES = st.sampled_from(
    ["natural", "natural", "equal", {"temperature": "0.5"}, {"temperature": 0.3}, {"temperature": 2}]
)
SHARES = st.sampled_from([0, 0.5, "25%", "1/3", 0.125, "0.1", "12.5%", 0.2, "1/7"])


@st.composite
def _quota(draw: st.DrawFn, percentages: bool) -> dict[str, Any]:
    quota: dict[str, Any] = {}
    if draw(st.booleans()):
        quota["share"] = draw(SHARES)
    if draw(st.integers(0, 3)) == 0:
        quota["min"] = draw(st.sampled_from([1, 2, 3, 5]))
        if percentages and draw(st.integers(0, 3)) == 0:
            quota["min"] = draw(st.sampled_from(["1%", "5%", "2.5%"]))
    if draw(st.integers(0, 2)) == 0:
        quota["max"] = draw(st.sampled_from([4, 6, 9, 15, 30]))
        if percentages and draw(st.integers(0, 2)) == 0:
            quota["max"] = draw(st.sampled_from(["50%", "33.3%", "20%"]))
    if type(quota.get("min")) is type(quota.get("max")) is int and quota["min"] > quota["max"]:
        del quota["min"]
    return quota


@pytest.fixture(scope="session")
def cases() -> Cases:
    return Cases()
