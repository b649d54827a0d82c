"""Seats over category trees: what must hold for every one of them, and equality with the definition."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from derlem.sampling.allocation import allocate
from derlem.sampling.bounds import Bounds, bounds
from derlem.sampling.errors import InfeasibleQuotas
from derlem.sampling.sample_options import SampleOptions
from derlem.sampling.tree import Stratum, Tree, build_tree
from tests.factories import quota_cases as cases
from tests.factories import sampling_reference as reference
from tests.factories.small_catalog import Place


def options_of(raw: Mapping[str, Any]) -> SampleOptions:
    return SampleOptions.model_validate({"name": "x", **raw})


def allocation(
    raw: Mapping[str, Any], counts: Mapping[Place, int], kept: Mapping[Place, int] | None = None
) -> tuple[dict[Place, int], Tree, Bounds]:
    """Seats, floors and caps by (category, source); raises InfeasibleQuotas."""
    options = options_of(raw)
    strata = [Stratum(*place, available, (kept or {}).get(place, 0)) for place, available in counts.items()]
    tree = build_tree(options, strata)
    limit = bounds(tree, options, extending=kept is not None)
    seats = allocate(tree, limit)
    nodes = list(zip(tree.category, tree.source, strict=True))
    return dict(zip(nodes, seats, strict=True)), tree, limit


@st.composite
def problems(draw: st.DrawFn, *, percentages: bool = True) -> tuple[dict[str, Any], dict[Place, int]]:
    places = draw(cases.places())
    counts = {place: draw(st.one_of(st.integers(0, 12), st.just(7))) for place in places}
    raw = {
        "target": draw(st.integers(1, 60)),
        "balance": draw(st.sampled_from(["natural", "equal", {"temperature": "0.5"}, {"temperature": 0.7}])),
        "min_per_source": draw(st.sampled_from([0, 1, 1, 2])),
        "max_repeats": draw(st.sampled_from([1, 1, 1, 3])),
        "allow_shortfall": True,
        **draw(cases.quotas(places, percentages=percentages)),
    }
    return raw, counts


@given(data=st.data())
def test_it_is_the_definition_exact_in_total_within_bounds_and_blind_to_order(data: st.DataObject) -> None:
    raw, counts = data.draw(problems())
    try:
        expected = reference.allocate(raw, counts)
    except reference.Infeasible:
        with pytest.raises(InfeasibleQuotas):
            allocation(raw, counts)
        return
    except reference.Short:  # only where nothing may be selected: the plan is refused
        assert allocation(raw, counts)[0]["", ""] == 0
        return
    seats, tree, _ = allocation(raw, counts)
    assert seats == expected
    limits = reference.bounds(raw, counts)
    assert seats["", ""] == min(raw["target"], limits["", ""][1])
    assert all(floor <= seats[node] <= cap for node, (floor, cap) in limits.items())
    for node in range(len(tree)):
        below = [seats[tree.category[child], tree.source[child]] for child in tree.children(node)]
        assert tree.source[node] or sum(below) == seats[tree.category[node], ""]
    least = raw["min_per_source"]

    def excluded(category: str, source: str) -> bool:
        """By `max: 0` of the stratum or a category above it."""
        steps = category.split("/") if category else []
        above = [("/".join(steps[:depth]), "") for depth in range(1, len(steps) + 1)]
        return any(limits[node][1] == 0 for node in [*above, (category, source)])

    drawable = [place for place, available in counts.items() if available and not excluded(*place)]
    assert all(seats[place] >= least for place in drawable), "a source is lost"
    shuffled = dict(data.draw(st.permutations(list(counts.items()))))
    assert allocation(raw, shuffled)[0] == seats


@given(data=st.data())
def test_it_is_nested_and_a_shortfall_goes_to_the_siblings_in_proportion(data: st.DataObject) -> None:
    """No seat could move from one child to another with a better claim to it, by Webster's measure."""
    raw, counts = data.draw(problems(percentages=False))
    more = {**raw, "target": raw["target"] + data.draw(st.integers(1, 30))}
    try:
        seats, tree, limit = allocation(raw, counts)
    except InfeasibleQuotas:
        assume(False)
    larger, _, _ = allocation(more, counts)
    assert all(seats[node] <= larger[node] for node in seats)
    held = [seats[place] for place in zip(tree.category, tree.source, strict=True)]
    for node in range(len(tree)):
        children = tree.children(node)
        givers = [child for child in children if held[child] > limit.floor[child]]
        takers = [child for child in children if held[child] < limit.cap[child] and limit.weight[child]]
        for giver, taker in ((giver, taker) for giver in givers for taker in takers if giver != taker):
            assert limit.weight[giver], "weight 0, over its floor, though others have room"
            given_last = Fraction(2 * held[giver] - 1, limit.weight[giver])
            assert given_last <= Fraction(2 * held[taker] + 1, limit.weight[taker])


@given(data=st.data())
def test_an_extension_keeps_all_and_is_otherwise_the_definition(data: st.DataObject) -> None:
    raw, counts = data.draw(problems())
    kept = {
        place: data.draw(st.integers(0, available * raw["max_repeats"]))
        for place, available in counts.items()
        if data.draw(st.booleans())
    }
    try:
        expected = reference.allocate(raw, counts, kept)
    except reference.Infeasible:  # only shares over 1 are left
        with pytest.raises(InfeasibleQuotas, match="shares"):
            allocation(raw, counts, kept)
        return
    seats, _, _ = allocation(raw, counts, kept)
    assert seats == expected
    assert all(seats[place] >= count for place, count in kept.items())


@given(data=st.data())
def test_what_is_infeasible_says_so_with_its_numbers(data: st.DataObject) -> None:
    """A floor over what there is, floors over the target, shares over 1: each names node and numbers."""
    raw, counts = data.draw(problems())
    place = data.draw(st.sampled_from(list(counts)))
    kind = data.draw(st.sampled_from(["available", "cap", "target", "shares"]))
    raw = {**raw, "quotas": {}, "sources": {}, "min_per_source": 1}
    parts = place[0].split("/") if place[0] else []
    node = raw
    for part in parts:
        node["quotas" if node is raw else "children"] = {part: {}}
        node = node["quotas" if node is raw else "children"][part]
    numbers: tuple[str, ...] = ()
    wanted = counts[place] * raw["max_repeats"] + data.draw(st.integers(1, 50))
    if kind == "available":
        raw["target"] = 10_000
        node["sources"] = {place[1]: {"min": wanted}}
        numbers = (str(wanted), str(counts[place]), place[1])
    elif kind == "cap":
        raw["target"] = 10_000
        assume(counts[place] >= 2)
        raw["min_per_source"] = 2
        node["sources"] = {place[1]: {"max": 1}}
        numbers = ("min_per_source 2", "max 1", place[1])
    elif kind == "target":
        floors = sum(1 for available in counts.values() if available)
        assume(floors > 1)
        raw["target"] = floors - 1
        numbers = (str(floors), str(floors - 1))
    else:
        node["sources"] = {place[1]: {"share": "2/3"}, "other": {"share": 0.5}}
        numbers = ("2/3", "0.5", "other", place[1])
    with pytest.raises(InfeasibleQuotas) as error:
        allocation(raw, counts)
    assert all(number in str(error.value) for number in numbers)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("balance", ["natural", "equal", {"temperature": 0.5}, {"temperature": 0.37}])
def test_ten_million_seats_over_a_hundred_thousand_strata(balance: object) -> None:
    chance = random.Random(7)
    strata = [
        Stratum(f"c{n % 10}/d{n % 100}/e{n}", f"s{s}", 1 + int(60 * chance.paretovariate(1.0)))
        for n in range(10_000)
        for s in range(10)
    ]
    quotas = {"c1": {"share": 0.3}, "c2": {"max": "5%", "children": {"d2": {"share": "1/3"}}}}
    times = []
    for target in (200_000, 10_000_000):
        options = options_of({"target": target, "balance": balance, "quotas": quotas})
        tree = build_tree(options, strata)
        limit = bounds(tree, options)
        started = time.process_time()
        seats = allocate(tree, limit)
        times.append(time.process_time() - started)
    assert times[1] < 10 * times[0], "fifty times the seats take about the same time"
    assert seats[0] == 10_000_000
    for node in range(len(tree)):
        children = tree.children(node)
        assert limit.floor[node] <= seats[node] <= limit.cap[node]
        assert not children or sum(seats[child] for child in children) == seats[node]


def test_ties_go_to_categories_first_then_to_the_smallest_name() -> None:
    counts = {("", "a"): 10, ("b", "s"): 10, ("a", "s"): 10, ("", "b"): 10}
    raw = {"target": 3, "balance": "equal", "min_per_source": 0}
    seats, _, _ = allocation(raw, counts)
    assert [seats[node] for node in (("a", ""), ("b", ""), ("", "a"), ("", "b"))] == [1, 1, 1, 0]


def test_a_child_of_weight_zero_gets_more_only_when_all_others_are_full() -> None:
    counts = {("a", "s"): 5, ("b", "s"): 5, ("c", "s"): 100}
    quotas = {"a": {"share": 0.5}, "b": {"share": 0.5}}
    assert allocation({"target": 11, "quotas": quotas}, counts)[0]["c", ""] == 1
    assert allocation({"target": 12, "quotas": quotas}, counts)[0]["c", ""] == 2
