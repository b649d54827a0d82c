"""Spares derlem what takes a small command most of its time and is of no use to it.

DuckDB and pyarrow import pandas with the first value that they are given, to know its objects when they see
them: a fifth of a second, and an interrupt meanwhile is lost in DuckDB. Python looks for garbage in all that
was imported when a process ends: another fifth; and an eighth to a quarter of importing is looking for it.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType


def spare_pandas() -> None:
    """From now on there is no pandas for who asks in the name of derlem; others import it as ever."""
    if _NoPandas not in sys.meta_path:
        sys.meta_path.insert(0, _NoPandas)


def settle_pyarrow() -> None:
    """Let pyarrow look for pandas here and now, in derlem's name; what it finds is what it goes by.

    Else it may look when DuckDB hands it a value, in nobody's name.
    """
    import pyarrow as pa

    pa.array([None])


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


@contextmanager
def spared_collections() -> Iterator[None]:
    """Imports happen here: garbage is not looked for meanwhile, nor in what they leave, ever."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def spare_rows() -> None:
    """From now on garbage is looked for less often: rows come by the million and leave none.

    Listing them takes a sixth less time than with Python's thresholds of 700, 10 and 10.
    """
    gc.set_threshold(50_000, 20, 50)


def spare_last_collection() -> None:
    """At its end this process will look for no garbage."""
    atexit.register(_last)


def _last() -> None:
    duckdb = sys.modules.get("duckdb")
    if duckdb is None or duckdb.__version__.startswith("1."):
        gc.freeze()
    else:
        gc.unfreeze()  # DuckDB 2 reports on stderr, as a leak, whatever is not collected
