"""A small real catalog for the outbound side: images in segments, a drawn manifest, consistent rows."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest
from PIL import Image

from derlem.core.workspace import Workspace
from derlem.corpus.build import build_corpus
from derlem.corpus.corpus_options import CorpusOptions
from tests.factories.filled_workspace import FilledWorkspace, MakeFilled, copied, fill


def opens(path: Path) -> bool:
    """Whether an image is whole: one of the demo's is broken on purpose."""
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, struct.error):
        return False
    return True


@pytest.fixture(scope="session")
def images(demo: Path) -> list[Path]:
    return [path for path in sorted(demo.rglob("*.png")) if opens(path)]


@pytest.fixture
def make_filled(tmp_path: Path, images: list[Path]) -> MakeFilled:
    """`make_filled(name, kind)`: an empty workspace below the test's folder."""

    def make(name: str = "work", kind: str = "jpeg") -> FilledWorkspace:
        return FilledWorkspace(Workspace(tmp_path / name), images, kind)

    return make


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory, images: list[Path]) -> dict[str, FilledWorkspace]:
    """What `filled`, `built` and `built_parquet` are copied from."""
    filled = FilledWorkspace(Workspace(tmp_path_factory.mktemp("filled") / "work"), images)
    ids = fill(filled)
    filled.draw(repeats=[ids[0]])
    found = {"drawn": filled}
    for format in ("webdataset", "parquet"):
        copy = FilledWorkspace(Workspace(tmp_path_factory.mktemp(format) / "work"), images)
        shutil.copytree(filled.workspace.root, copy.workspace.root)
        options = CorpusOptions.model_validate({"format": format, "shard_size": "20KB"})
        build_corpus(copy.workspace, "small", options, "run-3", 1, lambda *_: None)
        found[format] = copy
    return found


@pytest.fixture
def filled(templates: dict[str, FilledWorkspace], tmp_path: Path) -> FilledWorkspace:
    """40 items of two sources, a manifest `small` of all of them with one repeat."""
    return copied(templates["drawn"], tmp_path)


@pytest.fixture
def built(templates: dict[str, FilledWorkspace], tmp_path: Path) -> FilledWorkspace:
    """The filled with its corpus in small tars."""
    return copied(templates["webdataset"], tmp_path)


@pytest.fixture
def built_parquet(templates: dict[str, FilledWorkspace], tmp_path: Path) -> FilledWorkspace:
    """The filled with its corpus in small Parquet shards."""
    return copied(templates["parquet"], tmp_path)
