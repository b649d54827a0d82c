"""Projects over a few images, with a copy behind the proxy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from s3_proxy import Proxy

import derlem
from derlem.storage.places import BucketPlace
from tests.factories.machines import Machines
from tests.factories.stamps import make_stamps


@pytest.fixture(scope="session")
def stamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty small images in categories."""
    return make_stamps(tmp_path_factory.mktemp("stamps"), 60)


@pytest.fixture(scope="session")
def config(stamps: Path) -> dict[str, Any]:
    """The configuration of all machines, without a copy."""
    source = {
        "name": "stamps",
        "adapter": "files",
        "path": str(stamps),
        "category": "{dir}",
        "caption": {"sidecar": ".txt", "format": "stamps", "languages": ["tr", "en"]},
        "license": "GPL-2.0-only",
    }
    return {
        "sources": [source],
        "ingest": {"workers": 1, "segment_items": 20, "batch": 20},
        "sample": {"name": "s", "seed": 1, "target": 30},
        "corpus": {"shard_size": "20KB"},
    }


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]) -> Path:
    """A workspace after a run that had no copy."""
    workspace = tmp_path_factory.mktemp("finished") / "work"
    assert derlem.Project({**config, "workspace": str(workspace)}).run().ok
    return workspace


@pytest.fixture
def machines(tmp_path: Path, config: dict[str, Any], place: BucketPlace, proxy: Proxy) -> Machines:
    """Projects over the images; `machines.project(name)` is that of one machine."""
    return Machines(tmp_path, {**config, "sync": {"url": str(place), "endpoint_url": proxy.url}})


@pytest.fixture
def first(machines: Machines, finished: Path) -> derlem.Project:
    """The project of machine `a`, after a run and a push."""
    shutil.copytree(finished, machines.folder / "a")
    project = machines.project("a")
    project.sync_push()
    return project
