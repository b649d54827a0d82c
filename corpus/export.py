"""Describes a finished corpus for other tools: Energon, `datasets` and FiftyOne."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.durable import replace_file
from ..core.errors import ConfigError
from ..core.workspace import Workspace
from .energon import prepare_energon
from .errors import NotPublishable
from .fiftyone import write_fiftyone
from .layout import CorpusFolder
from .release import why_incomplete

_SCRIPT = '''"""Loads the corpus {name!r} with `datasets`."""

from datasets import IterableDataset, load_dataset

FOLDER = {folder!r}


def train() -> IterableDataset:
    """All {samples:,} samples, read while they are used; with `streaming=False` they are prepared first."""
    return load_dataset(FOLDER, split="train", streaming=True)
'''


@dataclass(frozen=True, slots=True)
class Exported:
    """`Project.export`: the path to give to the other tool, and the number of samples there."""

    path: Path
    samples: int


def export_energon(workspace: Workspace, name: str) -> Exported:
    """Prepare the folder of a corpus for Energon; later builds and takedowns keep it up to date.

    Raises UnknownManifest, NotPublishable, UnreadableCorpus, and ConfigError for Parquet shards.
    """
    folder, stats = _finished(workspace, name)
    if stats["build"]["format"] != "webdataset":
        raise ConfigError(
            f"corpus {name!r} has Parquet shards and Energon reads tars: build it with `webdataset`",
            key="corpus.format",
        )
    return Exported(folder.root, prepare_energon(folder, stats))


def export_datasets(workspace: Workspace, name: str, output: Path) -> Exported:
    """Write a module with a function per split that loads a corpus with `datasets`.

    Raises UnknownManifest and NotPublishable.
    """
    folder, stats = _finished(workspace, name)
    samples = int(stats["totals"]["samples"])
    output.parent.mkdir(parents=True, exist_ok=True)
    replace_file(output, _SCRIPT.format(name=name, folder=str(folder.root.absolute()), samples=samples))
    return Exported(output, samples)


def export_fiftyone(workspace: Workspace, name: str, output: Path) -> Exported:
    """Write the images and the JSON of a FiftyOne dataset to a new or empty folder; `samples` counts images.

    Raises UnknownManifest, NotPublishable, UnreadableCorpus, and ConfigError for a folder with other files.
    """
    folder, stats = _finished(workspace, name)
    if output.exists() and (not output.is_dir() or next(output.iterdir(), None)):
        raise ConfigError(f"{output} exists: name a new or empty folder with --output")
    return Exported(output, write_fiftyone(folder, stats, output))


def check_exportable(workspace: Workspace, name: str) -> Exported:
    """The folder and the samples of a complete corpus. Raises UnknownManifest and NotPublishable."""
    folder, stats = _finished(workspace, name)
    return Exported(folder.root, int(stats["totals"]["samples"]))


def _finished(workspace: Workspace, name: str) -> tuple[CorpusFolder, dict[str, Any]]:
    why = why_incomplete(workspace, name)
    if why is not None:
        raise NotPublishable(name, why)
    folder = CorpusFolder(workspace, name)
    return folder, json.loads(folder.stats.read_bytes())
