"""Malformed images and hostile archives of other projects' tests: the run completes, all accounted for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from derlem.catalog.connection import read_catalog
from derlem.catalog.status import Reason, Status
from derlem.core.workspace import Workspace

LIMIT = 2 * 1024**3


def outside(folder: Path, workspace: Path) -> set[str]:
    """Every path below `folder` but those of the workspace."""
    found = set()
    for root, _, files in os.walk(folder):
        if not Path(root).is_relative_to(workspace):
            found |= {os.path.join(root, name) for name in files}  # noqa: PTH118  # names need not be valid text
    return found


def test_hostile_sources_complete_and_every_entry_has_its_reason(
    material: Callable[[str], Path], tmp_path: Path
) -> None:
    pillow, tars = material("pillow"), material("libarchive-c")
    config = tmp_path / "derlem.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "workspace": "work",
                "sources": [
                    {"name": "pillow", "adapter": "files", "path": str(pillow), "license": "MIT-CMU"},
                    {"name": "tars", "adapter": "archive", "path": str(tars), "license": "CC0-1.0"},
                ],
                "ingest": {"memory_limit": LIMIT, "deadline": 30},
                "sample": {"name": "s", "target": 100},
            }
        )
    )
    before = outside(tmp_path, tmp_path / "work") | outside(pillow, pillow / "-") | outside(tars, tars / "-")
    done = subprocess.run(
        [sys.executable, "-m", "derlem", "-c", str(config), "run"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    after = outside(tmp_path, tmp_path / "work") | outside(pillow, pillow / "-") | outside(tars, tars / "-")
    assert after == before, "nothing is written outside the workspace"

    workspace = Workspace(tmp_path / "work")
    with read_catalog(workspace) as connection:
        counts = connection.execute("SELECT source, discovered, pending, ready FROM progress").fetchall()
        outcomes = connection.execute("SELECT DISTINCT status, reason FROM items").fetchall()
    by_source = {source: (discovered, pending, ready) for source, discovered, pending, ready in counts}
    entries = sum(len(files) for _, _, files in os.walk(pillow))
    assert by_source["pillow"][0] >= entries > 700
    assert all(pending == 0 and ready > 0 for _, pending, ready in by_source.values())
    for status, reason in outcomes:
        assert (Reason(reason).status if reason else status) == Status(status)
        assert (reason is None) == (status in ("ready", "expanded"))
    state = json.loads((workspace.state / "current.json").read_text())
    assert 0 < state["worker_memory_peak"] < LIMIT
