"""A changed declaration of a source changes its items and leaves their bytes in place."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from derlem.catalog.maintenance import TABLES


def redeclare(mine: Any, **changes: str) -> None:
    config = yaml.safe_load(mine.config.read_text())
    for source in config["sources"]:
        source.update(changes)
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


LICENSES = "SELECT source, license, count(*) AS n FROM items GROUP BY ALL ORDER BY ALL"


def test_a_declaration_is_carried_out_for_each_source(project: Callable[..., Any], demo: Path) -> None:
    """Listing one source does not count as listing another whose declaration changed, too."""
    common = {"adapter": "files", "path": str(demo / "clipart"), "license": "MIT"}
    mine = project([{"name": "a", **common}, {"name": "b", **common}])
    mine.derlem("discover")
    items = mine.rows(LICENSES)[0]["n"]
    redeclare(mine, license="CC0-1.0")
    mine.derlem("discover", "a")
    mine.derlem("run")
    assert mine.rows(LICENSES) == [{"source": name, "license": "CC0-1.0", "n": items} for name in "ab"]


KILLED = """
import os, signal, sys
import derlem
from derlem.pipeline import stages

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

{step} = kill
derlem.open(sys.argv[1]).discover()
"""


@pytest.mark.parametrize("step", ["stages.complete_listing", "stages.discover", "stages.declare"])
def test_a_listing_that_is_killed_is_repeated(project: Callable[..., Any], demo: Path, step: str) -> None:
    mine = project([{"name": "a", "adapter": "files", "path": str(demo / "clipart"), "license": "MIT"}])
    mine.derlem("discover")
    items = mine.rows(LICENSES)[0]["n"]
    redeclare(mine, license="CC0-1.0")
    done = subprocess.run([sys.executable, "-c", KILLED.format(step=step), mine.config], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    mine.derlem("run")
    assert mine.rows(LICENSES) == [{"source": "a", "license": "CC0-1.0", "n": items}]
