"""A file that cannot be opened gives an error of one line with its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_a_folder_in_place_of_a_file(project: Callable[..., Any], demo: Path) -> None:
    source = {"name": "s", "adapter": "files", "path": str(demo / "clipart"), "license": "CC-PDDC"}
    made = project([source])
    made.derlem("run")
    current = made.work / "state" / "current.json"
    current.unlink()
    current.mkdir()
    messages = made.derlem("run", code=1).stderr.splitlines()
    assert messages == [f"Error: {current}: Is a directory"]
    messages = made.derlem("-v", "run", code=1).stderr
    assert "Traceback" in messages
    assert "Traceback" in (made.work / "logs" / "pipeline.log").read_text()
    current.rmdir()
    made.derlem("run")
