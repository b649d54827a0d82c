"""Prepares the tars of a corpus for Megatron Energon: an index beside each tar, and the folder `.nv-meta`.

The same files as `energon prepare` writes for crude data; the database that finds samples by key is left out.
Format: https://nvidia.github.io/Megatron-Energon/basic/data_prep.html, read by Energon 7.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ..core.durable import replace_file
from ..core.tar import BLOCK
from .errors import UnreadableCorpus
from .layout import CorpusFolder, index_path

_LOADER = {"__module__": "megatron.energon", "__class__": "CrudeWebdataset"}


def prepare_energon(folder: CorpusFolder, stats: Mapping[str, Any]) -> int:
    """Write what Energon needs, and remove indexes of shards that are gone; returns the number of samples.

    Existing indexes are kept. UnreadableCorpus for a tar that no build wrote.
    """
    counts = {shard["file"]: shard["samples"] for shard in stats["shards"] if shard["samples"]}
    indexes = {index_path(folder.root / name) for name in counts}
    for path in folder.root.glob("*.tar.idx"):
        if path not in indexes:
            path.unlink()
    for name in counts:
        path = index_path(folder.root / name)
        if not path.exists():
            replace_file(path, _index(folder.root / name))
    folder.energon.mkdir(exist_ok=True)
    splits = {"split_parts": {"train": list(counts)}, "exclude": []}
    replace_file(folder.energon / ".info.json", json.dumps({"shard_counts": counts}, indent=1))
    replace_file(folder.energon / "split.yaml", yaml.safe_dump(splits, sort_keys=False))
    replace_file(folder.energon / "dataset.yaml", yaml.safe_dump(_LOADER, sort_keys=False))
    return sum(counts.values())


def refresh_energon(folder: CorpusFolder, stats: Mapping[str, Any]) -> None:
    """Bring a corpus that was prepared for Energon up to date; with Parquet shards, it no longer is."""
    if not folder.energon.is_dir():
        return
    if stats["build"]["format"] == "webdataset":
        prepare_energon(folder, stats)
        return
    shutil.rmtree(folder.energon)
    for path in folder.root.glob("*.tar.idx"):
        path.unlink()


def _index(shard: Path) -> bytes:
    """The offset of each sample in a tar, and the end of the last: 8 bytes each, little-endian."""
    from .shard_scan import BrokenShard, members  # it imports pyarrow.dataset, which no build needs

    offsets, place, last = [], 0, None
    try:
        for name, content in members(shard):
            key = name.partition(".")[0]
            if key != last:
                offsets.append(place)
                last = key
            place += BLOCK + len(content) + -len(content) % BLOCK
    except BrokenShard as error:
        raise UnreadableCorpus(shard, str(error)) from error
    return np.array([*offsets, place], "<u8").tobytes()
