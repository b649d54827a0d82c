"""Runs the adapter in a separate process with another HF_ENDPOINT: JSON lines in and out.

A line is {"source": options, "read": which}: `which` is "all", "none", or a list of item ids.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import sys
import traceback
from pathlib import Path
from typing import Any

from derlem.adapters.base import Context
from derlem.adapters.huggingface.adapter import HuggingfaceAdapter
from derlem.adapters.huggingface.dataset_options import HuggingfaceOptions
from derlem.catalog.models import Item, Payload
from derlem.core.workspace import Workspace


def run(order: dict[str, Any], workspace: Path) -> dict[str, Any]:
    source = HuggingfaceOptions.model_validate(order["source"])
    adapter = HuggingfaceAdapter(Context(Workspace(workspace)))
    if "items" in order:
        items = [Item(**{**item, "reason": None}) for item in order["items"]]
    else:
        items = [item for batch in adapter.discover(source) for item in batch]
    results = {}
    if order.get("read", True):
        for name, result in adapter.read(source, (item for item in items if item.reason is None)):
            if isinstance(result, Payload):
                results[name] = hashlib.sha256(result.data).hexdigest()
            else:
                results[name] = f"{result.reason}: {result.detail}"
    return {"items": [dataclasses.asdict(item) for item in items], "results": results}


def main() -> None:
    logging.basicConfig(level=logging.DEBUG)  # to standard error, where the test looks for secrets
    for line in sys.stdin:
        try:
            answer = run(json.loads(line), Path(sys.argv[1]))
        except Exception as error:
            traceback.print_exc()
            answer = {"error": type(error).__name__, "message": str(error), "key": getattr(error, "key", "")}
        print("ANSWER" + json.dumps(answer), flush=True)


main()
