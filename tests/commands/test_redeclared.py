"""A changed declaration of a source changes its items and leaves their bytes in place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from derlem.catalog.maintenance import TABLES


def redeclare(mine: Any, **changes: str) -> None:
    config = yaml.safe_load(mine.config.read_text())
    config["sources"][0].update(changes)
    mine.config.write_text(yaml.safe_dump(config))


def test_items_follow_the_declaration_without_new_bytes(project: Callable[..., Any], demo: Path) -> None:
    mine = project(
        [{"name": "art", "adapter": "files", "path": str(demo / "clipart"), "license": "CC0-1.0"}],
        sample={"name": "s", "seed": 1, "target": 10_000, "allow_shortfall": True},
    )
    places = "SELECT item_id, segment, \"offset\" FROM items WHERE status = 'ready' ORDER BY ALL"
    mine.derlem("run")
    before = mine.rows(places)
    assert before
    for category, license in (("one/{dir}", "CC0-1.0"), ("two/{dir}", "CC-BY-4.0")):
        redeclare(mine, category=category, license=license)
        mine.derlem("run")  # sampled, built and audited
        assert mine.rows(places) == before
        found = mine.rows("SELECT DISTINCT split_part(category, '/', 1) AS top, license FROM items")
        assert found == [{"top": category[:3], "license": license}]
    tables = {name: mine.rows(f"FROM {name} ORDER BY ALL") for name in TABLES}
    mine.derlem("catalog", "rebuild")
    assert {name: mine.rows(f"FROM {name} ORDER BY ALL") for name in TABLES} == tables


def test_a_lost_tar_is_reported_once(project: Callable[..., Any], demo: Path) -> None:
    mine = project(
        [{"name": "art", "adapter": "files", "path": str(demo / "clipart"), "license": "CC0-1.0"}],
        sample={"name": "s", "seed": 1, "target": 10_000, "allow_shortfall": True},
        ingest={"workers": 2},
    )
    mine.derlem("discover")
    mine.derlem("ingest")
    mine.derlem("sample")
    for tar in mine.work.glob("store/art/*.tar"):
        tar.unlink()
    messages = mine.derlem("build", code=1).stderr
    assert messages.count("is gone, with bytes that the catalog places there") == 1
