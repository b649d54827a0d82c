"""What cannot be written ends the command with one line, and costs no item."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

LARGEST = 3 * 2**20
"""Bytes that a file may have while the disk is "full": more than the catalog, less than the segments."""


def derlem_in_little_room(project: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "derlem", "-c", project.config, *arguments],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, LARGEST)),
    )


def test_ingest(project: Callable[..., Any], tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    noise = random.Random(1)
    for number in range(40):
        image = Image.frombytes("RGB", (512, 512), noise.randbytes(512 * 512 * 3))
        image.save(pictures / f"{number}.png", compress_level=0)
    source = {"name": "noise", "adapter": "files", "path": str(pictures), "license": "CC0-1.0"}
    mine = project([source], ingest={"workers": 2})
    done = derlem_in_little_room(mine, "run")
    assert done.returncode == 1, done.stderr
    errors = [line for line in done.stderr.splitlines() if not line.startswith(("discover ", "ingest: "))]
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith(f"Error: cannot write in {mine.work / 'store' / 'noise'}: File too large.")
    assert not list(mine.work.rglob("*.tmp"))
    assert {row["status"] for row in mine.rows("SELECT DISTINCT status FROM items")} <= {
        "discovered",
        "ready",
    }
    assert [row["state"] for row in mine.rows("SELECT state FROM runs")] == ["failed"]
    mine.derlem("run")
    assert mine.rows("SELECT status, attempts, count(*) AS n FROM items GROUP BY ALL") == [
        {"status": "ready", "attempts": 1, "n": 40}
    ]
    assert len(mine.rows("SELECT DISTINCT sha256 FROM items")) == 40


@pytest.mark.parametrize(
    "place", ["/sys/derlem", "/proc/derlem", "/dev/null", "/dev/null/derlem", "/dev/full"]
)
def test_where_no_workspace_can_be(project: Callable[..., Any], demo: Path, place: str) -> None:
    source = {"name": "demo", "adapter": "files", "path": str(demo), "license": "CC0-1.0"}
    said = project([source]).derlem("--set", f"workspace={place}", "run", code=1).stderr
    assert said.startswith(f"Error: cannot write in {place}: ")
    assert len(said.splitlines()) == 1
