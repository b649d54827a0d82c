"""A run removes the temporary files that killed processes left in its workspace."""

from __future__ import annotations

from pathlib import Path

import derlem
from derlem.core.workspace import Workspace
from derlem.pipeline.state import StateFile, last_state
from tests.factories.images import encode, photo


def leave(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left")


def test_a_run_removes_what_a_killed_run_left(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(encode(photo(), "JPEG"))
    source = {"name": "images", "adapter": "files", "path": "images", "license": "CC0-1.0"}
    project = derlem.Project({"sources": [source], "ingest": {"workers": 1}}, base=tmp_path)
    project.run()
    workspace: Workspace = project.workspace
    kept = workspace.cache / "ab" / "body"
    always = [
        workspace.state / "plan-r-s.parquet",
        workspace.root / ".catalog.new.duckdb",
        workspace.root / ".catalog.copy.tmp",
        workspace.temporary / "duckdb_temp_storage_DEFAULT-0.tmp",
        workspace.temporary / "duckdb_temp_block-17.block",
    ]
    after_a_kill = [
        workspace.cache / "ab" / ".body.0123abcd.tmp",
        workspace.cache / "listings" / "s" / ".page.0123abcd.tmp",
        workspace.corpora / "c" / ".README.md.0123abcd.tmp",
    ]
    leave(kept, *always, *after_a_kill)
    project.ingest()
    assert not [path for path in always if path.exists()]
    assert all(path.exists() for path in after_a_kill), "large folders are searched only after a kill"

    last = last_state(workspace)
    assert last is not None
    last.state = "running"  # as a killed run leaves its state
    StateFile(workspace, last)
    leave(*always)
    project.ingest()
    assert not [path for path in (*always, *after_a_kill) if path.exists()]
    assert kept.exists()
    assert project.rows("SELECT status, count(*) FROM items GROUP BY ALL")[1] == [("ready", 1)]
