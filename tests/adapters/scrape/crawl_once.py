"""Crawls once, appending each item's address to a file: what the tests kill. Argument: JSON of its needs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from derlem.adapters.base import Context
from derlem.adapters.scrape import ScrapeAdapter, ScrapeOptions
from derlem.catalog.workspace import Workspace

told = json.loads(sys.argv[1])
context = Context(Workspace(Path(told["workspace"])), {"fetch": told["fetch"]})
with Path(told["found"]).open("a", encoding="utf-8") as found:
    for batch in ScrapeAdapter(context).discover(ScrapeOptions.model_validate(told["source"])):
        found.writelines(f"{item.uri}\n" for item in batch)
        found.flush()
