"""Runs in the fork server at its start: imports the workers' modules, so that workers start quickly.

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
skip_last_collection()  # a pipe from the command stays open until this process ends
signal.signal(signal.SIGINT, signal.SIG_IGN)  # discards an interrupt received during imports
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
signal.signal(signal.SIGINT, signal.default_int_handler)
