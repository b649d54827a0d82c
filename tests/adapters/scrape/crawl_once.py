"""Lists an archive and reads unfinished items, in a process that tests kill. Argument: options as JSON.

Two files replace the catalog: `found` contains each item's URL, `finished` each item's outcome.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from derlem.adapters.base import Context
from derlem.adapters.http.fetch_options import FetchOptions
from derlem.adapters.scrape.adapter import ScrapeAdapter, ScrapeOptions
from derlem.catalog.models import Failure, Item
from derlem.core.workspace import Workspace

arguments = json.loads(sys.argv[1])
source = ScrapeOptions.model_validate(arguments["source"])
adapter = ScrapeAdapter(
    Context(Workspace(Path(arguments["workspace"])), FetchOptions.model_validate(arguments["fetch"]))
)
folder = Path(arguments["catalog"])
finished_file = folder / "finished"
finished = (
    {line.split()[0] for line in finished_file.read_text().splitlines()} if finished_file.exists() else set()
)

items: list[Item] = []
with (folder / "found").open("a", encoding="utf-8") as found:
    for batch in adapter.discover(source):
        found.writelines(f"{item.uri}\n" for item in batch)
        found.flush()
        items += batch
waiting = {item.item_id: item for item in items if item.uri not in finished}
with finished_file.open("a", encoding="utf-8") as out:
    for item_id, payload in adapter.read(source, waiting.values()):
        outcome = payload.reason.value if isinstance(payload, Failure) else str(len(payload.data))
        out.write(f"{waiting[item_id].uri} {outcome}\n")
        out.flush()
