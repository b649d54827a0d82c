"""What the workers' parent does when it begins: it imports what they need, so that each starts at once.

Nothing but that process imports this module (see `parent`).
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from importlib import import_module

from ...core.startup import settle_pyarrow, spare_last_collection, spare_pandas, spared_collections
from .fork_server import ADAPTERS


def _get_ready() -> None:
    import_module("derlem.pipeline.worker")
    spare_pandas()
    settle_pyarrow()
    from ...adapters.registry import adapter_class

    for name in os.environ.get(ADAPTERS, "").split():
        with suppress(Exception):  # what is wrong with an adapter, the coordinator says
            for module in adapter_class(name).reading:
                import_module(module)


with spared_collections():
    _get_ready()
spare_last_collection()  # who reads our output to its end waits for the end of this process, too
signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt that came on the way is forgotten
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
signal.signal(signal.SIGINT, signal.default_int_handler)
