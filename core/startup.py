"""Adjusts derlem's own processes (commands and workers) to start and end quickly.

A process that imports derlem as a library is never adjusted.

DuckDB and pyarrow import pandas with their first value, to detect pandas objects. This import takes 0.2 s,
and DuckDB loses an interrupt during the import. Garbage collection among all imported objects takes another
0.2 s at the end of a process, and 12 to 25 % of the time of imports.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType


def block_pandas() -> None:
    """Block `import pandas` from derlem's own modules in this process, C extensions they call included."""
    if _PandasBlocker not in sys.meta_path:
        sys.meta_path.insert(0, _PandasBlocker)


def probe_pandas() -> None:
    """Where pandas is blocked, make pyarrow try to import pandas now, from a module of derlem.

    Otherwise pyarrow may import pandas for a value from DuckDB, without a module of derlem on the stack.
    """
    if _PandasBlocker in sys.meta_path:
        import pyarrow as pa

        pa.array([None])


class _PandasBlocker:
    """Attributes an import from C to the calling Python code; derlem does not import pandas."""

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
def no_collections() -> Iterator[None]:
    """Disable garbage collection in the block, which imports, and exclude its objects from collection."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def tune_gc() -> None:
    """Collect garbage less often, since millions of rows create no reference cycles.

    Listing rows takes a sixth less time than with Python's thresholds of 700, 10 and 10.
    """
    gc.set_threshold(50_000, 20, 50)


def skip_last_collection() -> None:
    """Disable garbage collection at the end of this process."""
    atexit.register(_freeze)


def _freeze() -> None:
    duckdb = sys.modules.get("duckdb")
    if duckdb is None or duckdb.__version__.startswith("1."):
        gc.freeze()
    else:
        gc.unfreeze()  # DuckDB 2 reports uncollected objects on stderr as leaks
