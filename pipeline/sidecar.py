"""The JSON beside a sample in a segment: enough to read a segment without the catalog."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def sidecar(row: Mapping[str, Any]) -> dict[str, Any]:
    """The sidecar of a ready row. Every sample has the same keys and no nulls."""
    return {
        "id": row["item_id"],
        "source": row["source"],
        "uri": row["uri"],
        "locator": row["locator"],
        "category": row["category"].split("/") if row["category"] else [],
        "caption": row["caption"] or "",
        "conversations": json.loads(row["conversations"]) if row["conversations"] else [],
        "language": row["language"] or "",
        "license": row["license"] or "",
        "sha256": row["sha256"],
        "width": row["width"],
        "height": row["height"],
    }
