"""The category tree over candidates and quotas: its nodes, and what is declared for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..core.suggest import did_you_mean
from .sample_options import Balance, Quota, SampleOptions, SourceQuota


@dataclass(frozen=True, slots=True)
class Stratum:
    """The candidates of one source directly in one category; `kept` seats are taken already (extension)."""

    category: str
    source: str
    available: int
    kept: int = 0


@dataclass(slots=True)
class Tree:
    """All nodes in breadth-first order, in parallel lists; node 0 is the root.

    The children of a node are `first[v]` to `last[v] - 1`, in the order that breaks ties: sub-categories
    before sources, then by name (Python compares code points, which is the order of UTF-8 bytes).
    `source` is '' for a category. `levels` holds the first node of every depth, and last the number of
    nodes. `available` and `kept` are sums for a category.
    """

    category: list[str] = field(default_factory=list)
    source: list[str] = field(default_factory=list)
    parent: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    available: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    quota: list[SourceQuota | None] = field(default_factory=list)
    balance: list[Balance] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.category)

    def children(self, node: int) -> range:
        """The node's sub-categories and sources."""
        return range(self.first[node], self.last[node])

    def name(self, node: int) -> str:
        """The node's own name, without the path above it."""
        return self.source[node] or self.category[node].rpartition("/")[2]

    def label(self, node: int) -> str:
        """The node in messages, such as `photos/cats [web]`."""
        return label(self.category[node], self.source[node])


def label(category: str, source: str) -> str:
    """A node in messages: `photos/cats` or, for a source in it, `photos/cats [web]`; the root is `(all)`."""
    return f"{category or '(all)'} [{source}]" if source else category or "(all)"


def build_tree(options: SampleOptions, strata: Iterable[Stratum]) -> Tree:
    """The tree that spans all strata and all declared quotas."""
    declared = _declared(options)
    leaves: dict[str, dict[str, Stratum]] = {}
    for stratum in strata:
        leaves.setdefault(stratum.category, {})[stratum.source] = stratum
    for category, quota in declared.items():
        held = leaves.setdefault(category, {})
        for source in quota.sources:
            held.setdefault(source, Stratum(category, source, 0))
    branches = _branches(leaves)

    tree = Tree()
    _add(tree, "", "", 0, options.root, options.balance)
    start, end = 0, 1
    while start < end:
        tree.levels.append(start)
        for node in range(start, end):
            tree.first[node] = len(tree)
            if not tree.source[node]:
                category = tree.category[node]
                above = f"{category}/" if category else ""
                for name in sorted(branches.get(category, ())):
                    path = above + name
                    _add(tree, path, "", node, declared.get(path), tree.balance[node])
                quotas = declared[category].sources if category in declared else {}
                for source, stratum in sorted(leaves.get(category, {}).items()):
                    _add(tree, category, source, node, quotas.get(source), "natural", stratum)
            tree.last[node] = len(tree)
        start, end = end, len(tree)
    tree.levels.append(end)
    for node in range(len(tree) - 1, 0, -1):
        tree.available[tree.parent[node]] += tree.available[node]
        tree.kept[tree.parent[node]] += tree.kept[node]
    return tree


def idle_quotas(tree: Tree) -> list[str]:
    """A warning for every quota on a node without candidates, with the nearest name that has some."""
    warnings = []
    for node in range(1, len(tree)):
        if tree.quota[node] is None or tree.available[node] or not tree.available[tree.parent[node]]:
            continue
        text = f"a quota is declared for {tree.label(node)}, which has no candidates"
        warnings.append(text + nearest_sibling(tree, node))
    return warnings


def nearest_sibling(tree: Tree, node: int) -> str:
    """The clause `; did you mean 'x'?` for a node without candidates; empty without a similar sibling."""
    others = [
        tree.name(other)
        for other in tree.children(tree.parent[node])
        if tree.available[other] and bool(tree.source[other]) is bool(tree.source[node])
    ]
    return did_you_mean(tree.name(node), others)


def _declared(options: SampleOptions) -> Mapping[str, Quota]:
    """Quotas by category path, the root included."""
    found: dict[str, Quota] = {"": options.root}
    pending = [("", options.root)]
    while pending:
        above, quota = pending.pop()
        for name, child in quota.children.items():
            path = f"{above}/{name}" if above else name
            found[path] = child
            pending.append((path, child))
    return found


def _branches(categories: Iterable[str]) -> Mapping[str, set[str]]:
    """The names of the sub-categories of every category."""
    known = {""}
    branches: dict[str, set[str]] = {}
    for path in categories:
        category = path
        while category not in known:
            known.add(category)
            parent, _, name = category.rpartition("/")
            branches.setdefault(parent, set()).add(name)
            category = parent
    return branches


def _add(
    tree: Tree,
    category: str,
    source: str,
    parent: int,
    quota: SourceQuota | None,
    balance: Balance,
    stratum: Stratum | None = None,
) -> None:
    own = quota.balance if isinstance(quota, Quota) else None
    tree.category.append(category)
    tree.source.append(source)
    tree.parent.append(parent)
    tree.first.append(0)
    tree.last.append(0)
    tree.available.append(stratum.available if stratum else 0)
    tree.kept.append(stratum.kept if stratum else 0)
    tree.quota.append(quota)
    tree.balance.append(own or balance)
