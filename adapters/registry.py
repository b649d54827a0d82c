"""Finds adapters by name: built-in adapters and adapters registered by other packages."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from ..core.errors import ConfigError, MissingExtra
from ..core.suggest import did_you_mean
from .base import Adapter

GROUP = "derlem.adapters"


def adapter_names() -> list[str]:
    """Return the names of all registered adapters, sorted."""
    return sorted({point.name for point in entry_points(group=GROUP)})


@cache
def adapter_class(name: str) -> type[Adapter[Any]]:
    """Return the adapter `name`; ConfigError for an unknown name, MissingExtra for a missing library."""
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        hint = did_you_mean(name, points)
        raise ConfigError(f"there is no adapter {name!r}{hint} (known: {', '.join(sorted(points))})")
    try:
        loaded: type[Adapter[Any]] = points[name].load()
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("derlem"):
            raise
        raise MissingExtra(f"the {name!r} adapter ({error.name})", EXTRAS.get(name, name)) from error
    return loaded


EXTRAS = {"urls": "fetch", "huggingface": "huggingface", "scrape": "scrape"}
"""The extra of derlem that installs the libraries of a built-in adapter."""
