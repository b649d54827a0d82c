"""Errors of declared quotas, with the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import DerlemError


@dataclass(frozen=True, slots=True)
class Problem:
    """A contradiction at a node: `wanted` seats, where at most `possible` are possible."""

    category: str
    source: str
    text: str
    wanted: int
    possible: int


class InfeasibleQuotas(DerlemError):
    """No draw can satisfy the quotas; `problems` names every node and number. Nothing was written."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n  {problem.text}" for problem in self.problems)
        super().__init__(f"these quotas cannot be satisfied:{lines}")


class Shortfall(DerlemError):
    """The target is over what candidates and caps allow; `allow_shortfall` is off, or they allow nothing."""

    exit_code = 2

    def __init__(self, target: int, possible: int, limits: Sequence[str]) -> None:
        self.target, self.possible, self.limits = target, possible, tuple(limits)
        lines = "".join(f"\n  {limit}" for limit in self.limits)
        advice = "; set `allow_shortfall: true` to take what there is" if possible else ""
        super().__init__(
            f"the target is {target}, but candidates and caps allow {possible or 'none'} "
            f"({target - possible} short){advice}{':' if lines else ''}{lines}"
        )
