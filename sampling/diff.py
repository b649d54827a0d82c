"""Compares two stored manifests: what came, what went and what stayed, at every node."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import duckdb

from ..catalog.queries import query
from .candidates import require_manifest
from .tree import label


@dataclass(frozen=True, slots=True)
class NodeDiff:
    """Seats of one node in two manifests; an item that changed its category went here and came there."""

    category: str
    source: str
    went: int
    came: int
    stayed: int

    @property
    def label(self) -> str:
        """The node as people read it."""
        return label(self.category, self.source)


@dataclass(frozen=True, slots=True)
class ManifestDiff:
    """The difference between the manifests `a` and `b`; `nodes` come depth first, the root first."""

    a: str
    b: str
    nodes: tuple[NodeDiff, ...]


def diff_manifests(connection: duckdb.DuckDBPyConnection, a: str, b: str) -> ManifestDiff:
    """Compare the manifests `a` and `b`; UnknownManifest for one that is not there."""
    for name in (a, b):
        require_manifest(connection, name)
    strata = connection.execute(query("sampling/differences"), {"a": a, "b": b}).fetchall()
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    sums["", ""] = [0, 0, 0]
    for category, source, *counts in strata:
        above = category
        nodes = [(category, source), (above, "")]
        while above:
            above = above.rpartition("/")[0]
            nodes.append((above, ""))
        for node in nodes:
            for place, count in enumerate(counts):
                sums[node][place] += count
    order = sorted(sums, key=lambda node: (node[0].split("/") if node[0] else [], node[1]))
    return ManifestDiff(a, b, tuple(NodeDiff(*node, *sums[node]) for node in order))
