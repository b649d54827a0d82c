"""Contradictions among declared quotas that no items can resolve, found without a catalog."""

from __future__ import annotations

from .errors import InfeasibleQuotas, Problem
from .sample_options import Quota, SampleOptions
from .tree import label


def check_quotas(options: SampleOptions) -> None:
    """Raise InfeasibleQuotas for shares over 1 below a node, and for floors over a cap or the target."""
    problems: list[Problem] = []
    floor = _floor(options.root, "", options.target, problems)
    if options.extend is not None:  # floors give way to what an extension keeps
        problems = [problem for problem in problems if not problem.wanted]
    elif floor > options.target:
        text = f"all declared floors together need {floor}, over the target of {options.target}"
        problems.append(Problem("", "", text, floor, options.target))
    if problems:
        raise InfeasibleQuotas(sorted(problems, key=lambda problem: (problem.category, problem.source)))


def _floor(quota: Quota, path: str, target: int, problems: list[Problem]) -> int:
    """The places that the floors of a node and of all nodes below it need."""
    below = sum(source.min.of(target) for source in quota.sources.values() if source.min)
    for name, child in quota.children.items():
        below += _floor(child, f"{path}/{name}" if path else name, target, problems)
    shares = [
        (name, part.share)
        for parts in (quota.children, quota.sources)
        for name, part in parts.items()
        if part.share
    ]
    if sum(share.value for _, share in shares) > 1:
        listed = ", ".join(f"{name} {share}" for name, share in shares)
        text = f"{label(path, '')}: the shares below it are over 1: {listed}"
        problems.append(Problem(path, "", text, 0, 0))
    floor = max(below, quota.min.of(target) if quota.min else 0)
    if quota.max and floor > quota.max.of(target):
        cap = quota.max.of(target)
        text = f"{label(path, '')}: its floors need {floor}, over max {quota.max}"
        problems.append(Problem(path, "", text, floor, cap))
        return cap
    return floor
