"""The demo's images as two declared sources, and a small sample of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def demo_sources(demo: Path) -> list[dict[str, Any]]:
    """Configurations of `clipart` (files) and `people` (an archive)."""
    common = {"license": "CC-PDDC", "caption": {"sidecar": ".txt"}, "category": "art/{dir}"}
    return [
        {"name": "clipart", "adapter": "files", "path": str(demo / "clipart"), **common},
        {"name": "people", "adapter": "archive", "path": str(demo / "people.tar.gz"), **common},
    ]


SAMPLE: dict[str, Any] = {"name": "s", "seed": 1, "target": 40, "balance": "equal"}
