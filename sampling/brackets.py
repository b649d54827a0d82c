"""Brackets of the rank keys of a stratum's last seats, so that hardly any item has to be ranked.

A rank key is 32 hexadecimal digits, and keys are uniform: of a stratum's items about as large a part lies
below x as x is of all keys. So a stratum that takes 30 % of its items takes nearly every key under 30 % and
hardly one above, and the more items it has, the nearer to 30 % its last key lies.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

BELOW = ""
"""Under every key."""
ABOVE = "g"
"""Over every key."""

MISSED = 1e-5
"""Bound of the chance that a stratum's last key lies below its bracket, and that it lies above."""

_HALVINGS = 24
"""How often the way to an edge is halved: to less than an item of ten million."""

_Ints: TypeAlias = npt.NDArray[np.int64]
_Floats: TypeAlias = npt.NDArray[np.float64]


def brackets(seats: _Ints, items: _Ints) -> tuple[list[str], list[str]]:
    """(low, high) for strata of so many items, the first `seats` of which are taken.

    Items with keys under `low` are taken and those over `high` are not, but for the chance of MISSED. Where
    all items are taken, or none, it is sure.
    """
    part = np.minimum(seats / np.maximum(items, 1), 1.0)
    low, high = (_keys(_edge(part, items, end)) for end in (0.0, 1.0))
    for stratum in np.flatnonzero((seats == 0) | (seats >= items)):
        low[stratum] = high[stratum] = ABOVE if seats[stratum] else BELOW
    return low, high


def _edge(part: _Floats, items: _Ints, end: float) -> _Floats:
    """Where, from `part` towards `end`, a bracket may end.

    Of n uniform keys, `part` of them or more lie below a smaller x, or `part` of them or less below a
    greater one, with a chance of at most exp(-n * KL(part || x)), KL being the relative entropy of two
    coins (Chernoff's bound: Hoeffding, Probability inequalities for sums of bounded random variables, 1963).
    """
    near, far = part, np.full_like(part, end)
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            heads = np.where(part > 0, part * np.log(part / middle), 0.0)
            tails = np.where(part < 1, (1 - part) * np.log((1 - part) / (1 - middle)), 0.0)
        enough = items * (heads + tails) >= -math.log(MISSED)
        near, far = np.where(enough, near, middle), np.where(enough, middle, far)
    return far


def _keys(parts: _Floats) -> list[str]:
    """The keys, to twelve digits, below which these parts of all keys lie."""
    scaled = np.clip(parts, 0.0, 1.0) * 2.0**48
    return [
        BELOW if key <= 0 else ABOVE if key >= 2**48 else f"{key:012x}" for key in scaled.astype(np.int64)
    ]
