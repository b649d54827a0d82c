"""What may be declared, and the errors for what may not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from derlem.sampling.bounds import power, sibling_weights
from derlem.sampling.numbers import Amount, rational
from derlem.sampling.sample_options import Exclusion, SampleOptions, for_trial


def options(**given_options: Any) -> SampleOptions:
    return SampleOptions.model_validate({"name": "x", "target": 100, **given_options})


def amount(bound: Amount | None, target: int) -> int:
    assert bound is not None
    return bound.of(target)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (0.1, Fraction(1, 10)),
        (1e-3, Fraction(1, 1000)),
        ("0.30", Fraction(3, 10)),
        ("33.3%", Fraction(333, 1000)),
        ("1/3", Fraction(1, 3)),
        (10_000_000, Fraction(10_000_000)),
        ("10_000_000", Fraction(10_000_000)),
        ("1e7", Fraction(10_000_000)),
    ],
)
def test_numbers_are_the_decimals_that_are_written(written: Any, meant: Fraction) -> None:
    assert rational(written) == meant


@pytest.mark.parametrize("written", ["", "%", ".", "many", "nan", "inf", "1/0", True, None, "0x10", "1e999"])
def test_what_is_no_number_is_refused(written: Any) -> None:
    with pytest.raises(ValueError, match=r"not a number|decimal places|target|share") as error:
        rational(written)
    assert not isinstance(error.value, OverflowError)


def test_the_design_s_example() -> None:
    given_options = options(
        target="10_000_000",
        balance={"temperature": 0.5},
        quotas={"documents": {"share": 0.3, "min": 100_000, "children": {"newspapers": {"max": "50%"}}}},
    )
    documents = given_options.quotas["documents"]
    assert documents.share is not None and documents.share.value == Fraction(3, 10)
    assert amount(documents.min, given_options.target) == 100_000
    assert amount(documents.children["newspapers"].max, given_options.target) == 5_000_000
    assert SampleOptions.model_validate_json(given_options.model_dump_json()) == given_options


def test_percentages_are_floored() -> None:
    assert amount(options(quotas={"a": {"max": "33.3%"}}).quotas["a"].max, 10) == 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"quotas": {"a": {"shares": 0.3}}}, "Extra inputs"),
        ({"quotas": {"a": {"share": 1.2}}}, "between 0 and 1"),
        ({"quotas": {"a": {"share": "-10%"}}}, "between 0 and 1"),
        ({"quotas": {"a": {"min": 2.5}}}, "whole number of seats"),
        ({"quotas": {"a": {"max": "120%"}}}, "up to 100%"),
        ({"quotas": {"a": {"min": -1}}}, "number of seats"),
        ({"quotas": {"a": {"min": 5, "max": 3}}}, "min 5 is over max 3"),
        ({"quotas": {"a/b": {"min": 5}}}, "level by level"),
        ({"quotas": {"": {"min": 5}}}, "not the name of a category"),
        ({"quotas": {"e\u0301": {}, "\u00e9": {}}}, "declared twice"),
        ({"balance": "fair"}, "natural"),
        ({"balance": {"temperature": 5}}, "between 0 and 4"),
        ({"balance": {"temperature": "0.3333"}}, "three decimal places"),
        ({"target": 0}, "greater than or equal to 1"),
        ({"target": "12.5"}, "whole number"),
        ({"max_repeats": 0}, "greater than or equal to 1"),
        ({"where": "  "}, "empty predicate"),
        ({"name": "Bad Name"}, "match"),
        ({"exclude": [{"folder": "a", "hashes": "b"}]}, "exactly one"),
        ({"exclude": [{}]}, "exactly one"),
        ({"near_duplicates": 40}, "less than or equal"),
        ({"sources": {"s": {"children": {}}}}, "Extra inputs"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        options(**wrong)


def test_an_exclusion_may_be_just_a_folder(tmp_path: Path) -> None:
    assert options(exclude=[str(tmp_path)]).exclude == [Exclusion(folder=str(tmp_path))]


def test_the_canonical_form_names_no_path(tmp_path: Path) -> None:
    assert str(tmp_path) not in options(exclude=[str(tmp_path)]).canonical()


def test_a_scaled_sample_keeps_its_proportions_and_stays_feasible() -> None:
    quotas = {"a": {"share": 0.5, "min": 30, "max": "50%"}, "b": {"sources": {"s": {"max": 1, "min": 1}}}}
    small = for_trial(options(target=100, min_per_source=5, quotas=quotas), 10)
    assert (small.target, small.min_per_source, small.allow_shortfall) == (10, 1, True)
    assert amount(small.quotas["a"].min, 10) == 3
    assert amount(small.quotas["a"].max, 10) == 5
    assert amount(small.quotas["b"].sources["s"].max, 10) == 1
    assert amount(small.quotas["b"].sources["s"].min, 10) == 0
    assert SampleOptions.model_validate_json(small.model_dump_json()) == small


@given(
    base=st.one_of(st.integers(1, 10**12), st.builds(pow, st.integers(1, 30), st.sampled_from([2, 4, 5, 8]))),
    exponent=st.fractions(0, 4, max_denominator=1000).filter(lambda a: 1000 % a.denominator == 0),
)
def test_a_temperature_weight_is_the_rounded_down_root(base: int, exponent: Fraction) -> None:
    p, q = exponent.numerator, exponent.denominator
    root = power(base, p, q)
    assert root**q <= base**p << (32 * q) < (root + 1) ** q


def test_shares_come_first_and_the_rest_is_divided() -> None:
    declared = options(quotas={"a": {"share": 0.5}}).quotas["a"].share
    weights = sibling_weights([declared, None, None], [10, 30, 10], "natural")
    assert [Fraction(weight, sum(weights)) for weight in weights] == [
        Fraction(1, 2),
        Fraction(3, 8),
        Fraction(1, 8),
    ]
