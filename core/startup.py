"""Adjusts a process of derlem's own, a command or a worker, to start and end quickly.

A process that imports derlem as a library is never adjusted.

DuckDB and pyarrow import pandas with the first value that they are given, to recognize its objects: this
takes a fifth of a second, and DuckDB loses an interrupt that comes meanwhile. Collecting garbage among all
imported objects when a process ends takes another fifth, and an eighth to a quarter of importing.
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
    """Where pandas is blocked, make pyarrow look for it now, from a module of derlem, once for all.

    Otherwise pyarrow may look when DuckDB hands it a value, with no module of derlem on the stack.
    """
    if _PandasBlocker in sys.meta_path:
        import pyarrow as pa

        pa.array([None])


class _PandasBlocker:
    """Attributes an import from C to the Python code that called it; derlem itself imports no pandas."""

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
    """Collect no garbage in the block, which imports, and never among the objects that it leaves."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def tune_gc() -> None:
    """Collect garbage less often: rows come by the million and leave none.

    Listing rows takes a sixth less time than with Python's thresholds of 700, 10 and 10.
    """
    gc.set_threshold(50_000, 20, 50)


def skip_last_collection() -> None:
    """Collect no garbage when this process ends."""
    atexit.register(_freeze)


def _freeze() -> None:
    duckdb = sys.modules.get("duckdb")
    if duckdb is None or duckdb.__version__.startswith("1."):
        gc.freeze()
    else:
        gc.unfreeze()  # DuckDB 2 reports on stderr, as a leak, whatever is not collected
