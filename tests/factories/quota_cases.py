"""Random quotas over random trees: depth to 5, ties, empty nodes, shares, binding floors and caps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from .small_catalog import Place

NAMES = ["a", "b", "ab", "Z", "ç", "ş", "﹏", "𝔞"]  # the last two: order by UTF-16 would differ from UTF-8
SOURCES = ["s1", "s0", "s2", "s10"]

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
        quota["max"] = draw(st.sampled_from([0, 4, 6, 9, 15, 30]))
        if percentages and draw(st.integers(0, 2)) == 0:
            quota["max"] = draw(st.sampled_from(["50%", "33.3%", "20%"]))
    if type(quota.get("min")) is type(quota.get("max")) is int and quota["min"] > quota["max"]:
        del quota["min"]
    return quota


@st.composite
def places(draw: st.DrawFn) -> list[Place]:
    """Some strata."""
    paths = st.lists(st.sampled_from(NAMES[: draw(st.integers(1, 8))]), max_size=5).map("/".join)
    some = st.tuples(paths, st.sampled_from(SOURCES))
    return draw(st.lists(some, min_size=1, max_size=12, unique=True))


@st.composite
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
