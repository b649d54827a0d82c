"""What the workers' parent does when it begins: it imports what they need, so that each starts at once.

Nothing but that process imports this module (see `parent`).
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from types import ModuleType

from .parent import ADAPTERS


class _NoPandas:
    """Finds no pandas."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


def _get_ready() -> None:
    import_module("derlem.pipeline.worker")
    import pyarrow as pa

    # With the first conversion pyarrow looks for pandas, to know its objects when it sees them. No worker has
    # any, and importing it takes as long as decoding hundreds of pictures; who wants it may still import it.
    sys.meta_path.insert(0, _NoPandas)
    pa.array([None])
    sys.meta_path.remove(_NoPandas)
    from ..adapters.registry import adapter_class

    for name in os.environ.get(ADAPTERS, "").split():
        with suppress(Exception):  # what is wrong with an adapter, the coordinator says
            for module in adapter_class(name).reading:
                import_module(module)


gc.disable()  # else a quarter of the time goes into collections that find nothing
_get_ready()
gc.freeze()  # for good: who reads our output to its end waits for the end of this process, too
gc.enable()
signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt that came on the way is forgotten
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
signal.signal(signal.SIGINT, signal.default_int_handler)
