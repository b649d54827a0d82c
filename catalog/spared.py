"""Spares derlem an import that DuckDB and pyarrow would make and that it has no use for: pandas.

Both look for it with the first value that they are given, to know its objects when they see them. That takes
a fifth of a second, which is most of what a small command does; an interrupt meanwhile is lost in DuckDB.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType


def spare_pandas() -> None:
    """From now on there is no pandas for who asks in the name of derlem; others import it as ever."""
    if _NoPandas not in sys.meta_path:
        sys.meta_path.insert(0, _NoPandas)


class _NoPandas:
    """An import from C seems to come from the Python code that called it; derlem itself imports no pandas."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        if name != "pandas":
            return
        frame = sys._getframe(1)
        while frame.f_back and frame.f_globals.get("__name__", "").startswith("importlib."):
            frame = frame.f_back
        if frame.f_globals.get("__name__", "").startswith("derlem."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
