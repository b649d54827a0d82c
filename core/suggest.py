"""The nearest valid name to one that is unknown, as every message offers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most similar, case aside; None if none is similar."""
    import difflib  # only errors need it

    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.55)
    return by_lower[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str], shown: Callable[[str], str] = repr) -> str:
    """The clause `; did you mean 'x'?` for a message; empty if no known name is similar."""
    near = nearest(name, known)
    return "" if near is None else f"; did you mean {shown(near)}?"
