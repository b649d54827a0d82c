"""A failed write ends the command with one line and affects no item."""

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
"""Maximum size of a file on the "full" disk: more than the catalog, less than the segments."""


def derlem_with_a_file_size_limit(project: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "derlem", "-c", project.config, *arguments],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, LARGEST)),
    )


@pytest.fixture
def noise(tmp_path: Path) -> dict[str, str]:
    """A source of incompressible images."""
    images = tmp_path / "images"
    images.mkdir()
    random_bytes = random.Random(1).randbytes
    for number in range(40):
        image = Image.frombytes("RGB", (512, 512), random_bytes(512 * 512 * 3))
        image.save(images / f"{number}.png", compress_level=0)
    return {"name": "noise", "adapter": "files", "path": str(images), "license": "CC0-1.0"}


def the_only_error(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stderr
    progress = ("discover ", "ingest: ", "build ")
    lines = [line for line in done.stderr.splitlines() if not line.startswith(progress)]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_ingest(project: Callable[..., Any], noise: dict[str, str]) -> None:
    mine = project([noise], ingest={"workers": 2})
    error = the_only_error(derlem_with_a_file_size_limit(mine, "run"))
    assert error.startswith(f"Error: cannot write in {mine.work / 'store' / 'noise'}: File too large.")
    assert not list(mine.work.rglob("*.tmp"))
    statuses = {row["status"] for row in mine.rows("SELECT DISTINCT status FROM items")}
    assert statuses <= {"discovered", "ready"}
    assert [row["state"] for row in mine.rows("SELECT state FROM runs")] == ["failed"]
    mine.derlem("run")
    assert mine.rows("SELECT status, attempts, count(*) AS n FROM items GROUP BY ALL") == [
        {"status": "ready", "attempts": 1, "n": 40}
    ]
    assert len(mine.rows("SELECT DISTINCT sha256 FROM items")) == 40


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_build(project: Callable[..., Any], noise: dict[str, str], form: str) -> None:
    mine = project([noise], sample={"name": "s", "target": 30}, corpus={"format": form})
    for stage in ("discover", "ingest", "sample"):
        mine.derlem(stage)
    error = the_only_error(derlem_with_a_file_size_limit(mine, "build"))
    assert error.startswith(f"Error: cannot write in {mine.work / 'corpora'}")
    assert "File too large" in error
    assert not mine.rows("FROM shards")
    mine.derlem("build")
    mine.derlem("audit")


@pytest.mark.parametrize(
    "place", ["/sys/derlem", "/proc/derlem", "/dev/null", "/dev/null/derlem", "/dev/full"]
)
def test_an_impossible_workspace(project: Callable[..., Any], demo: Path, place: str) -> None:
    source = {"name": "demo", "adapter": "files", "path": str(demo), "license": "CC0-1.0"}
    messages = project([source]).derlem("--set", f"workspace={place}", "run", code=1).stderr
    assert messages.startswith(f"Error: cannot write in {place}: ")
    assert len(messages.splitlines()) == 1
