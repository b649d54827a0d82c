"""Projects of the demo's public-domain images, and a digest of a folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import derlem


@pytest.fixture
def images(demo: Path, tmp_path: Path) -> Path:
    """A copy of some of the demo's images, with captions beside them."""
    return Path(shutil.copytree(demo / "clipart" / "food", tmp_path / "images" / "food")).parent


@pytest.fixture
def declaration(images: Path) -> dict[str, Any]:
    """A configuration as a mapping; its paths are relative to the folder of `images`."""
    return {
        "sources": [
            {
                "name": "clipart",
                "adapter": "files",
                "path": images.name,
                "category": "{dir}",
                "caption": {"sidecar": ".txt"},
                "license": "CC-PDDC",
            }
        ],
        "sample": {"name": "small", "seed": 5, "target": 9},
    }


@pytest.fixture
def project(declaration: dict[str, Any], images: Path) -> derlem.Project:
    return derlem.Project(declaration, base=images.parent)


@pytest.fixture
def tree_digest() -> Callable[[Path], dict[str, str]]:
    """`tree_digest(folder)`: names, sizes, times and contents of everything below it."""

    def digest(folder: Path) -> dict[str, str]:
        found = {}
        for path in sorted(folder.rglob("*")):
            status = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path)] = f"{status.st_size if content else 0} {status.st_mtime_ns} {content}"
        return found

    return digest
