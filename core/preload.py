"""What the fork server does when it starts: imports what workers need, so that each worker starts at once.

Only that process imports this module (see `fork_server`).
"""

from __future__ import annotations

import json
import os
import signal
from importlib import import_module

from .fork_server import PRELOAD
from .startup import block_pandas, no_collections, probe_pandas, skip_last_collection

block_pandas()
with no_collections():
    _name, _arguments = json.loads(os.environ[PRELOAD])
    _module = import_module(_name)
    probe_pandas()
    if hasattr(_module, "preload"):
        _module.preload(_arguments)
skip_last_collection()  # a reader of the command's output waits for the end of this process, too
signal.signal(signal.SIGINT, signal.SIG_IGN)  # discards an interrupt that came meanwhile
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
signal.signal(signal.SIGINT, signal.default_int_handler)
