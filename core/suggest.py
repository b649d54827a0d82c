"""Suggests the nearest valid name for an unknown name, for all messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the most similar known name, ignoring case; None without a similar name."""
    import difflib  # only needed for errors

    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.55)
    return by_lower[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str], shown: Callable[[str], str] = repr) -> str:
    """Return the clause `; did you mean 'x'?` for a message; empty without a similar name."""
    near = nearest(name, known)
    return "" if near is None else f"; did you mean {shown(near)}?"
