"""The weights of siblings as whole numbers, so that every platform divides seats alike."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from functools import lru_cache
from math import lcm

from .numbers import Share
from .sample_options import Balance, Temperature

ROOT_BITS = 32
"""Fractional bits of a temperature weight: cap^a is taken as floor(2^32 * cap^a) / 2^32."""


def sibling_weights(shares: Sequence[Share | None], caps: Sequence[int], balance: Balance) -> list[int]:
    """Weights of the children of one node, scaled to integers by a common factor.

    A child with a share weighs its share. The others divide what the shares leave in proportion to
    `balance_weight` of their caps; one that can hold nothing takes no part in that.
    """
    base = [0 if share else balance_weight(cap, balance) for share, cap in zip(shares, caps, strict=True)]
    declared = [share.value for share in shares if share]
    if not declared:
        return base
    denominator = lcm(*(value.denominator for value in declared))
    rest = int((1 - sum(declared)) * denominator)
    total = sum(base) or 1
    return [
        int(share.value * denominator) * total if share else rest * weight
        for share, weight in zip(shares, base, strict=True)
    ]


def balance_weight(cap: int, balance: Balance) -> int:
    """What a sibling with this cap weighs among those without a share."""
    if cap == 0:
        return 0
    if balance == "natural":
        return cap
    if balance == "equal":
        return 1
    assert isinstance(balance, Temperature)
    exponent = balance.temperature
    return power(cap, exponent.numerator, exponent.denominator)


@lru_cache(maxsize=1 << 18)
def power(base: int, numerator: int, denominator: int) -> int:
    """floor(2^32 * base^(numerator/denominator)), exactly.

    The result is defined by integers alone: it is the largest r with
    r^denominator <= base^numerator * 2^(32 * denominator). A decimal estimate only says where to look.
    """
    if denominator == 1:
        return int(base**numerator) << ROOT_BITS
    bound = int(base**numerator) << (ROOT_BITS * denominator)
    with localcontext() as context:
        context.prec = 60
        exponent = Decimal(numerator) / Decimal(denominator)
        estimate = int((Decimal(base).ln() * exponent).exp() * (1 << ROOT_BITS))
    while estimate**denominator > bound:
        estimate -= 1
    while (estimate + 1) ** denominator <= bound:
        estimate += 1
    return estimate
