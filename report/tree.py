"""The category tree of a report, as the compact list that the page's icicle reads."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.printable import printable
from .facts import Row

Node = list[str | int]
"""Name, index of the parent (-1 for the root), samples, bytes, and 1 for a source."""

NAME = 120
"""Characters of a name that are shown."""


def tree(strata: Sequence[Row]) -> list[Node]:
    """The nodes of all categories and sources, parents first, with everything below them."""
    nodes: list[Node] = [["all", -1, 0, 0, 0]]
    places: dict[tuple[str, str], int] = {("", ""): 0}

    def place(category: str) -> int:
        if (category, "") not in places:
            above, _, name = category.rpartition("/")
            parent = place(above)
            places[category, ""] = len(nodes)
            nodes.append([printable(name)[:NAME], parent, 0, 0, 0])
        return places[category, ""]

    for row in strata:
        parent = place(row["category"])
        nodes.append([printable(row["source"])[:NAME], parent, row["samples"], row["bytes"], 1])
        above = parent
        while above >= 0:
            nodes[above][2] = int(nodes[above][2]) + row["samples"]
            nodes[above][3] = int(nodes[above][3]) + row["bytes"]
            above = int(nodes[above][1])
    return nodes
