"""Evaluation images of a dataset on the hub are fetched once per commit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml


def test_hashes_are_stored_per_commit(hub: Any, shapes: dict[str, Path], demo: Path, tmp_path: Path) -> None:
    hub.commit("org/evaluation", shapes["parquet"])
    config = tmp_path / "derlem.yaml"
    source = {"name": "s", "adapter": "files", "path": str(demo / "clipart"), "license": "CC-PDDC"}
    exclude = [{"dataset": "org/evaluation", "split": "train", "column": "image"}]
    sample = {"name": "s", "target": 3, "allow_shortfall": True, "exclude": exclude}
    config.write_text(yaml.safe_dump({"workspace": "work", "sources": [source], "sample": sample}))
    known = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment = known | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf-home")}

    def derlem(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "derlem", "-c", str(config), *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    derlem("discover")
    derlem("ingest")
    derlem("--dry-run", "sample")
    assert not (tmp_path / "work" / "cache" / "hashes").exists()
    derlem("sample")
    before = len(hub.requests)
    assert "hash org/evaluation[train]: " in derlem("sample")
    paths = [request.path for request in hub.requests[before:] if "evaluation" in request.path]
    assert paths == ["/api/datasets/org/evaluation"]  # resolves the commit

    changed = tmp_path / "changed"
    shutil.copytree(shapes["parquet"], changed)
    first, second = sorted((changed / "data").iterdir())
    shutil.copy(second, first)
    hub.commit("org/evaluation", changed)
    derlem("sample")
    assert len(list((tmp_path / "work" / "cache" / "hashes").iterdir())) == 2
