"""Warnings of a plan with their numbers, and contradictions that need no catalog."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from derlem.sampling.errors import InfeasibleQuotas
from derlem.sampling.licensing import permitted
from derlem.sampling.plan import Plan, plan_sample
from derlem.sampling.sample_options import LicenseRules, SampleOptions
from derlem.sampling.static_checks import check_quotas
from tests.factories.small_catalog import Row, SmallCatalog


def rows(source: str, category: str, count: int, start: int = 0) -> list[Row]:
    found = []
    for number in range(start, start + count):
        item = hashlib.md5(f"{source}{category}{number}".encode()).hexdigest()
        found.append(Row(item, source, category, str(number)))
    return found


def plan(catalog: SmallCatalog, **raw: Any) -> Plan:
    return plan_sample(catalog.connection, SampleOptions.model_validate({"name": "x", **raw}))


def test_a_source_of_duplicates_is_named(small_catalog: SmallCatalog) -> None:
    given = [*rows("first", "a", 30), *rows("copies", "b", 7), *rows("half", "a", 10, start=25)]
    small_catalog.fill(given, ["first", "copies", "half"])
    made = plan(small_catalog, target=20)
    assert made.warnings == (
        "copies: no candidate is left, 7 items are duplicates of items of other sources",
    )


def test_a_share_that_yields_to_floors_is_named(small_catalog: SmallCatalog) -> None:
    given = [*rows("s", "a", 1000), *rows("s", "b", 1000, 1000), *rows("s", "c", 1000, 2000)]
    small_catalog.fill(given, ["s"])
    quotas = {"a": {"share": "1/2"}, "b": {"share": "1/2"}, "c": {"min": 100}}
    assert plan(small_catalog, target=1000, quotas=quotas).warnings == (
        "a: share 1/2 becomes 45.0 % (450 of 1,000), because of floors",
        "b: share 1/2 becomes 45.0 % (450 of 1,000), because of floors",
    )
    raised = {"a": {"share": "10%", "min": 300}, "b": {}, "c": {}}
    assert plan(small_catalog, target=1000, quotas=raised).warnings == (
        "a: share 10% becomes 30.0 % (300 of 1,000), because of floors",
    )


@pytest.mark.parametrize("target", [7, 9, 1000])
def test_rounding_and_full_nodes_are_no_floors(small_catalog: SmallCatalog, target: int) -> None:
    given = [*rows("s", "a", 2000), *rows("s", "b", 4, 2000), *rows("s", "c", 2000, 3000)]
    small_catalog.fill(given, ["s"])
    quotas = {name: {"share": "1/3"} for name in "abc"}
    assert plan(small_catalog, target=target, quotas=quotas).warnings == ()


STATIC = {
    "shares": (
        {"a": {"children": {"b": {"share": "2/3"}}, "sources": {"s": {"share": 0.5}}}},
        "a: the shares below it are over 1: b 2/3, s 0.5",
    ),
    "floors": (
        {"a": {"min": 60}, "b": {"sources": {"s": {"min": "50%"}}}},
        "all declared floors together need 110, over the target of 100",
    ),
    "cap": (
        {"a": {"max": "20%", "children": {"b": {"min": 15}, "c": {"min": 10}}}},
        "a: its floors need 25, over max 20%",
    ),
}


@pytest.mark.parametrize("kind", STATIC)
def test_contradictions_are_found_without_a_catalog(kind: str) -> None:
    quotas, message = STATIC[kind]
    options = SampleOptions.model_validate({"name": "x", "target": 100, "quotas": quotas})
    with pytest.raises(InfeasibleQuotas) as error:
        check_quotas(options)
    assert [problem.text for problem in error.value.problems] == [message]
    extending = options.model_copy(update={"extend": "before"})
    if kind != "shares":
        check_quotas(extending)
    else:
        with pytest.raises(InfeasibleQuotas):
            check_quotas(extending)


def test_sound_quotas_pass() -> None:
    quotas = {
        "a": {"share": "2/3", "min": 10, "max": 50},
        "b": {"share": "1/3", "sources": {"s": {"min": 5}}},
    }
    check_quotas(SampleOptions.model_validate({"name": "x", "target": 100, "quotas": quotas}))


@pytest.mark.parametrize("key", ["seed", "target", "max_repeats", "min_per_source"])
def test_true_is_no_number(key: str) -> None:
    with pytest.raises(ValueError, match="a whole number, not true"):
        SampleOptions.model_validate({"name": "x", "target": 10, key: True})


@pytest.mark.parametrize(
    ("expression", "allow", "deny", "passes"),
    [
        ("GPL-2.0-only AND MIT", ["GPL-2.0-only AND MIT"], [], True),
        ("gpl-2.0-only  and MIT", ["GPL-2.0-only AND MIT"], [], True),
        ("(MIT AND Zlib) OR X", ["( MIT AND Zlib ) OR X"], [], True),
        ("GPL-2.0-only AND MIT", ["GPL-2.0-only AND MIT"], ["MIT"], False),
        ("GPL-2.0-only AND Zlib", ["GPL-2.0-only AND MIT"], [], False),
    ],
)
def test_an_allowed_expression_matches_itself(
    expression: str, allow: list[str], deny: list[str], passes: bool
) -> None:
    assert permitted(expression, LicenseRules(allow=allow, deny=deny)) is passes
