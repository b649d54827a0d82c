"""Exports: the index and metadata that Energon reads, kept true by builds and takedowns; a loading module."""

from __future__ import annotations

import hashlib
import json
import runpy
import tarfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from derlem.core.errors import ConfigError
from derlem.corpus.build import build_corpus
from derlem.corpus.corpus_options import CorpusOptions
from derlem.corpus.errors import NotPublishable, UnreadableCorpus
from derlem.corpus.export import export_datasets, export_energon, export_fiftyone
from derlem.corpus.release import release_corpus
from derlem.corpus.withdraw import withdraw_from_corpora
from tests.factories.filled_workspace import FilledWorkspace


def as_energon_reads(folder: Path) -> set[str]:
    """The keys of all samples, each read from the bytes between two offsets of its shard's index."""
    info = json.loads((folder / ".nv-meta" / ".info.json").read_text())
    splits = yaml.safe_load((folder / ".nv-meta" / "split.yaml").read_text())
    assert list(info["shard_counts"]) == splits["split_parts"]["train"]
    keys: set[str] = set()
    for name, count in info["shard_counts"].items():
        offsets = np.fromfile(folder / f"{name}.idx", "<u8")
        assert len(offsets) == count + 1
        data = (folder / name).read_bytes()
        assert data[offsets[-1] :].strip(b"\0") == b""
        for start, end in pairwise(offsets):
            part = folder.parent / "sample.tar"
            part.write_bytes(data[start:end])
            with tarfile.open(part) as tar:
                names = tar.getnames()
            part.unlink()
            assert [name.partition(".")[2] for name in names] == ["jpg", "json"]
            keys.add(names[0].partition(".")[0])
    assert {path.name for path in folder.glob("*.idx")} == {f"{name}.idx" for name in info["shard_counts"]}
    return keys


def keys_of(filled: FilledWorkspace) -> set[str]:
    rows = filled.ask("SELECT item_id || CASE WHEN repeat > 0 THEN '-r' || repeat ELSE '' END FROM manifest")
    return {key for (key,) in rows}


@pytest.mark.short(1)
@pytest.mark.parametrize("released", [False, True])
def test_energon_reads_every_sample_after_a_takedown(built: FilledWorkspace, released: bool) -> None:
    if released:
        release_corpus(built.workspace, "small")
    exported = export_energon(built.workspace, "small")
    before = keys_of(built)
    assert exported.samples == len(before) and as_energon_reads(exported.path) == before
    gone = min(before)[:32]
    built.change("UPDATE items SET status = 'withdrawn', reason = 'takedown' WHERE item_id = ?", gone)
    withdraw_from_corpora(
        built.workspace, CorpusOptions.model_validate({"shard_size": "20KB"}), "r", 1, print
    )
    assert as_energon_reads(exported.path) == keys_of(built) == {key for key in before if key[:32] != gone}


def test_a_build_of_fewer_or_other_shards(built: FilledWorkspace) -> None:
    folder = export_energon(built.workspace, "small").path
    for options in ({"shard_size": "1MB"}, {"format": "parquet"}):
        given: dict[str, Any] = dict(options)
        build_corpus(built.workspace, "small", CorpusOptions.model_validate(given), "r", 1, lambda *_: None)
        if "format" not in given:
            assert as_energon_reads(folder) == keys_of(built)
    assert not list(folder.glob("*.idx")) and not (folder / ".nv-meta").exists()
    with pytest.raises(ConfigError, match="webdataset"):
        export_energon(built.workspace, "small")


def test_a_damaged_shard(built: FilledWorkspace) -> None:
    shard = built.workspace.corpora / "small" / "small-000001.tar"
    shard.write_bytes(shard.read_bytes()[:5000])
    with pytest.raises(UnreadableCorpus, match=r"small-000001\.tar"):
        export_energon(built.workspace, "small")


def test_an_unbuilt_corpus(filled: FilledWorkspace) -> None:
    with pytest.raises(NotPublishable, match="derlem build small"):
        export_energon(filled.workspace, "small")


def test_the_module_loads_the_corpus(
    built: FilledWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hf")
    exported = export_datasets(built.workspace, "small", tmp_path / "made" / "load_small.py")
    samples = runpy.run_path(str(exported.path))["train"]()
    assert {sample["json"]["key"] for sample in samples} == keys_of(built)


@pytest.mark.parametrize("format", ["built", "built_parquet"])
def test_the_json_and_images_for_fiftyone(
    request: pytest.FixtureRequest, tmp_path: Path, format: str
) -> None:
    """The shape that `fiftyone.Dataset.from_json` reads: a name, typed fields, samples with only these."""
    filled = request.getfixturevalue(format)
    exported = export_fiftyone(filled.workspace, "small", tmp_path / "fiftyone")
    described = json.loads((exported.path / "samples.json").read_text())
    assert (described["name"], described["media_type"]) == ("small", "image")
    fields, prefix = described["sample_fields"], "fiftyone.core.fields."
    assert fields["conversations"] == f"{prefix}ListField({prefix}DictField)"
    assert fields["width"] == f"{prefix}IntField" and "id" not in fields
    samples = described["samples"]
    assert {sample["key"] for sample in samples} == keys_of(filled) and exported.samples == len(samples)
    for sample in samples:
        assert set(sample) == {"filepath", "tags", *fields}
        data = (exported.path / sample["filepath"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == sample["sha256"]
    with pytest.raises(ConfigError, match="new or empty folder"):
        export_fiftyone(filled.workspace, "small", exported.path)
