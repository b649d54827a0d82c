"""Numbers as people declare them: shares, and amounts that are counts or percentages of the target.

Everything is kept as an exact rational. A YAML float such as 0.3 is read as the decimal it is written as,
three tenths, and not as the binary fraction nearest to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_DECIMAL = re.compile(r"[+-]?(\d[\d_]*)?(\.\d*)?([eE][+-]?\d{1,2})?|\d+/\d+")
_DIGITS = 18
"""Decimal places that a declared number may have; more would be noise of some computation."""


@dataclass(frozen=True, slots=True)
class Share:
    """The part of its parent's seats that a node asks for: a rational in [0, 1], and its text."""

    value: Fraction
    text: str = field(compare=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of seats: absolute, or a percentage of the sample's target."""

    value: Fraction
    relative: bool
    text: str = field(compare=False)

    def of(self, target: int) -> int:
        """The number of seats for this target; a percentage is rounded down."""
        return int(self.value * target) if self.relative else int(self.value)

    def __str__(self) -> str:
        return self.text


def rational(value: object) -> Fraction:
    """The exact value of a declared number: an int, a float as it is written, '0.3', '1/3', '30%'."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Fraction)):
        raise ValueError(f"not a number: {value!r}")
    if isinstance(value, Fraction):
        return value
    text = repr(value) if isinstance(value, float) else str(value).strip()
    number, percent = (text[:-1].strip(), True) if text.endswith("%") else (text, False)
    if not number or not _DECIMAL.fullmatch(number) or not re.search(r"\d", number):
        raise ValueError(f"not a number: {text!r}")
    try:
        exact = Fraction(number.replace("_", ""))
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"not a number: {text!r}") from error
    if exact.denominator > 10**_DIGITS:
        raise ValueError(f"more than {_DIGITS} decimal places: {text!r}")
    return exact / 100 if percent else exact


def share(value: object) -> Share:
    """Read a share: 0.3, '30%' or '1/3'."""
    if isinstance(value, Share):
        return value
    exact = rational(value)
    if not 0 <= exact <= 1:
        raise ValueError(f"a share lies between 0 and 1 (or 0% and 100%), this is {value}")
    return Share(exact, str(value).strip())


def amount(value: object) -> Amount:
    """Read a number of seats: 100_000, or '5%' of the target."""
    if isinstance(value, Amount):
        return value
    exact = rational(value)
    relative = isinstance(value, str) and value.strip().endswith("%")
    if exact < 0 or (relative and exact > 1):
        raise ValueError(f"a number of seats, or a percentage of the target up to 100%, not {value}")
    if not relative and exact.denominator != 1:
        raise ValueError(f"a whole number of seats, or a percentage such as '5%', not {value}")
    return Amount(exact, relative, str(value).strip())


_NUMBER: dict[str, Any] = {"anyOf": [{"type": "number"}, {"type": "string"}]}

ShareField = Annotated[
    Share, BeforeValidator(share), PlainSerializer(str, return_type=str), WithJsonSchema(_NUMBER)
]
"""A share as a field of options; it is written back as it was declared."""

AmountField = Annotated[
    Amount, BeforeValidator(amount), PlainSerializer(str, return_type=str), WithJsonSchema(_NUMBER)
]
"""A number of seats as a field of options; it is written back as it was declared."""
