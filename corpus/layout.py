"""Names in a corpus: its folder, its shards, the keys and extensions of its samples."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..core.workspace import Workspace

EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
"""What a sample's image is called, by the media type of its bytes."""

SHARD_SUFFIXES = {"webdataset": "tar", "parquet": "parquet"}
"""What a shard is called, by the format of the corpus."""

_KEY = re.compile(r"([0-9a-f]{32})(?:-r([1-9][0-9]*))?")
_SHARD = re.compile(r"(?P<name>[a-z0-9_-]+)-(?P<number>[0-9]{6,})\.(?P<suffix>tar|parquet)")


@dataclass(frozen=True, slots=True)
class Shape:
    """What all samples of a corpus have in common.

    `extension` is that of the images. `images` is the highest number of images of a sample, and `captions`
    is whether a sample has several captions: only such corpora have the fields `images` and `captions`.
    """

    extension: str
    images: int = 1
    captions: bool = False

    @property
    def several(self) -> bool:
        """Whether a sample has several images."""
        return self.images > 1

    def image_names(self, key: str, images: int) -> list[str]:
        """The names of a sample's images: `<key>.jpg` for one, `<key>.0.jpg` and so on for several."""
        if images == 1:
            return [f"{key}.{self.extension}"]
        return [f"{key}.{number}.{self.extension}" for number in range(images)]

    def covering(self, other: Shape) -> Shape:
        """The shape of a corpus that has the samples of both."""
        return Shape(self.extension, max(self.images, other.images), self.captions or other.captions)


def shape_of(build: Mapping[str, Any]) -> Shape:
    """The shape of a corpus from the `build` section of its statistics."""
    return Shape(build["extension"], build["images"], build["captions"])


def parse_key(key: str) -> tuple[str, int] | None:
    """The item id and repeat of a sample's key (`sql/corpus/rows.sql`).

    None if no build gives such a key.
    """
    match = _KEY.fullmatch(key)
    return (match[1], int(match[2] or 0)) if match else None


def shard_corpus(file: str) -> str | None:
    """The corpus of a shard, by its file's name; None for another file."""
    match = _SHARD.fullmatch(file)
    return match["name"] if match else None


def index_path(shard: Path) -> Path:
    """The index of a tar, in corpora that were exported for Energon."""
    return shard.with_name(f"{shard.name}.idx")


@dataclass(frozen=True, slots=True)
class CorpusFolder:
    """The folder of the corpus `name`, and the folder beside it where its files are made."""

    workspace: Workspace
    name: str

    @property
    def root(self) -> Path:
        """What a corpus is: shards, manifest, statistics, card, Croissant."""
        return self.workspace.corpora / self.name

    @property
    def staging(self) -> Path:
        """Unfinished files and the markers of finished shards; loaders never look here."""
        return self.workspace.corpora / f".{self.name}.build"

    @property
    def manifest(self) -> Path:
        """Which item is which sample, and in which shard."""
        return self.root / "manifest.parquet"

    @property
    def stats(self) -> Path:
        """Counts, hashes, and what a catalog needs to know the corpus again."""
        return self.root / "stats.json"

    def build(self) -> dict[str, Any]:
        """The `build` section of `stats.json`; empty if no build wrote the file."""
        facts = self._stats("build")
        return facts if isinstance(facts, dict) else {}

    def described(self, stats: Mapping[str, Any], run: str) -> bool:
        """Whether `stats.json` holds these statistics, as of a build in the given run."""
        wanted = {**stats, "build": {**stats["build"], "run": run}}
        try:
            found = json.loads(self.stats.read_bytes())
        except (FileNotFoundError, ValueError):
            return False
        return isinstance(found, dict) and {**found, "files": None} == {**wanted, "files": None}

    def limits(self) -> list[int] | None:
        """The boundaries of the shards in `stats.json`, from the first position; None without gapless ones.

        They stand in the same file as the manifest's fingerprint: a kill cannot separate the two.
        """
        shards = self._stats("shards")
        try:
            spans = [(int(shard["first"]), int(shard["last"])) for shard in shards or ()]
        except (ValueError, KeyError, TypeError):
            return None
        gapless = all(before[1] == after[0] for before, after in pairwise(spans))
        return [spans[0][0], *(last for _, last in spans)] if spans and gapless else None

    def _stats(self, section: str) -> Any:
        try:
            return json.loads(self.stats.read_bytes())[section]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    @property
    def card(self) -> Path:
        """The dataset card."""
        return self.root / "README.md"

    @property
    def croissant(self) -> Path:
        """The Croissant description."""
        return self.root / "croissant.json"

    @property
    def energon(self) -> Path:
        """The folder of metadata for Energon, in corpora that were exported for it."""
        return self.root / ".nv-meta"

    def shard(self, number: int, format: str) -> Path:
        """The shard `number` of a corpus in `format`."""
        return self.root / f"{self.name}-{number:06d}.{SHARD_SUFFIXES[format]}"

    def shards(self) -> list[tuple[int, Path]]:
        """All shard files there are, in both formats, with their numbers."""
        if not self.root.is_dir():
            return []
        found = []
        for path in sorted(self.root.iterdir()):
            match = _SHARD.fullmatch(path.name)
            if match and match["name"] == self.name:
                found.append((int(match["number"]), path))
        return found


def corpora(workspace: Workspace) -> list[CorpusFolder]:
    """The folders of all corpora that there are, complete or not, by name."""
    if not workspace.corpora.is_dir():
        return []
    names = sorted(path.name for path in workspace.corpora.iterdir() if path.is_dir())
    return [CorpusFolder(workspace, name) for name in names if not name.startswith(".")]
