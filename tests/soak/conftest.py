"""A configuration over more than 2,000 items, and the command as a process."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.factories.stamps import make_stamps, pack_stamps

SOAK = bool(os.environ.get("DERLEM_SOAK"))


@pytest.fixture(scope="session")
def many_items(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Loose stamps, the same stamps as zip and tar.gz, and clip art as tar: over 2,600 items.

    `make soak` takes real stamps, `make test` small ones made here.
    """
    folder = tmp_path_factory.mktemp("packed")
    if SOAK:
        material = request.getfixturevalue("material")
        stamps, clipart = material("stamps"), material("openclipart")
    else:
        stamps = make_stamps(tmp_path_factory.mktemp("stamps"), 800)
        clipart = request.getfixturevalue("clipart")
    pack_stamps(stamps, folder)
    with tarfile.open(folder / "clipart.tar", "w") as packed_tar:
        packed_tar.add(clipart, "clipart")
    caption = {"sidecar": ".txt", "format": "stamps", "languages": ["tr", "en"]}
    common = {"license": "GPL-2.0-only", "category": "{dir}", "caption": caption}
    return {
        "sources": [
            {"name": "loose", "adapter": "files", "path": str(stamps), **common},
            {"name": "zipped", "adapter": "archive", "path": str(folder / "stamps.zip"), **common},
            {"name": "packed", "adapter": "archive", "path": str(folder / "stamps.tar.gz"), **common},
            {"name": "clipart", "adapter": "archive", "path": str(folder / "clipart.tar"), **common},
        ],
        "ingest": {"batch": 50, "commit_seconds": 0.3},
        "sample": {"name": "s", "seed": 1, "target": 1000 if SOAK else 800, "balance": "equal"},
        "corpus": {"format": "webdataset", "shard_size": "2MB" if SOAK else "400KB"},
    }


@pytest.fixture
def configured(tmp_path: Path, many_items: dict[str, object]) -> Path:
    """The configuration as a file, with a workspace of its own."""
    path = tmp_path / "derlem.yaml"
    path.write_text(yaml.safe_dump({"workspace": "work", **many_items}))
    return path


def derlem(config: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "derlem", "-c", str(config), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    return derlem
