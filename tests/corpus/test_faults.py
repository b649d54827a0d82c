"""Builds that are killed, that find the disk full, or that are asked for what cannot be built."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import namedtuple

import pytest

from derlem.catalog.connection import read_catalog
from derlem.core.errors import UnknownManifest
from derlem.corpus.build import build_corpus
from derlem.corpus.corpus_options import CorpusOptions
from derlem.corpus.errors import MissingBytes, MixedMediaTypes, NotEnoughSpace, UnbuildableSample
from derlem.corpus.plan import plan_build

OPTIONS = {"format": "webdataset", "shard_size": "6KB"}
BUILD = """
import sys
from pathlib import Path
from derlem.core.workspace import Workspace
from derlem.corpus.build import build_corpus
from derlem.corpus.corpus_options import CorpusOptions
if __name__ == "__main__":
    options = CorpusOptions.model_validate({"format": sys.argv[2], "shard_size": "6KB"})
    workspace = Workspace(Path(sys.argv[1]))
    build_corpus(workspace, "small", options, "run", 2, lambda *_: print("shard", flush=True))
"""


def build(pantry, workers=1, **changes):
    options = CorpusOptions.model_validate(OPTIONS | changes)
    return build_corpus(pantry.workspace, "small", options, "run-3", workers, lambda *_: None)


@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_killed_builds_end_in_the_same_bytes(pantry, tmp_path, format):
    wanted = [shard.sha256 for shard in build(pantry, format=format).shards]
    for path in sorted(pantry.workspace.corpora.rglob("*"), reverse=True):
        if path.is_file():
            path.unlink()
    script = tmp_path / "build.py"
    script.write_text(BUILD)
    dice = random.Random(5)
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, str(script), str(pantry.workspace.root), format],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        process.stdout.readline()  # the first shard, new or found
        time.sleep(dice.random() * 0.2)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for _, shard in _shards(pantry):
            assert shard.stat().st_size > 0  # whole or not there
    result = build(pantry, format=format)
    assert [shard.sha256 for shard in result.shards] == wanted
    assert result.rewritten < len(wanted)
    staging = pantry.workspace.corpora / ".small.build"
    assert {path.suffix for path in staging.iterdir()} == {".json"}


def _shards(pantry):
    from derlem.corpus.layout import CorpusFolder

    return CorpusFolder(pantry.workspace, "small").shards()


def test_workers_end_with_their_parent(pantry, tmp_path):
    script = tmp_path / "build.py"
    script.write_text(BUILD.replace('print("shard", flush=True)', "__import__('time').sleep(60)"))
    process = subprocess.Popen([sys.executable, str(script), str(pantry.workspace.root), "webdataset"])
    deadline = time.monotonic() + 30
    while not (children := _children(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    children |= _children(process.pid)
    process.kill()
    process.wait()
    while any(_alive(child) for child in children) and time.monotonic() < deadline + 30:
        time.sleep(0.05)
    assert children
    assert not any(_alive(child) for child in children)


def _children(pid: int) -> set[int]:
    import psutil

    try:
        return {child.pid for child in psutil.Process(pid).children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


def _alive(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_full_disk_is_noticed_before_anything_is_written(pantry, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("derlem.corpus.build.shutil.disk_usage", lambda _: usage(10**6, 10**6 - 5000, 5000))
    with pytest.raises(NotEnoughSpace) as told:
        build(pantry)
    assert told.value.free == 5000
    assert told.value.needed > 40 * 1024
    assert _shards(pantry) == []


def test_full_disk_does_not_matter_when_nothing_is_to_be_written(pantry, monkeypatch):
    size = build(pantry).bytes
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("derlem.corpus.build.shutil.disk_usage", lambda _: usage(10**6, 0, size // 2))
    assert build(pantry).rewritten == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_missing_segment(pantry, workers):
    pantry.workspace.segment_tar("chats/000000").unlink()
    with pytest.raises(MissingBytes, match=r"chats/000000\.tar is gone"):
        build(pantry, workers)


def test_short_segment(pantry):
    path = pantry.workspace.segment_tar("chats/000000")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(MissingBytes, match="lacks"):
        build(pantry)
    assert pantry.ask("SELECT count(*) FROM shards") == [(0,)]


def test_mixed_media_types(pantry):
    pantry.change("UPDATE items SET media_type = 'image/png' WHERE source = 'chats'")
    with pytest.raises(MixedMediaTypes) as told:
        build(pantry)
    assert told.value.counts == {"image/jpeg": 21, "image/png": 20}


@pytest.mark.parametrize("media_type", ["image/gif", None])
def test_media_type_that_no_corpus_has(pantry, media_type):
    pantry.change("UPDATE items SET media_type = ?", media_type)
    with pytest.raises(MixedMediaTypes):
        build(pantry)


@pytest.mark.parametrize(
    ("sql", "state"),
    [
        ("DELETE FROM items WHERE source = 'chats'", "not in the catalog"),
        ("UPDATE items SET status = 'withdrawn' WHERE source = 'chats'", "withdrawn"),
        ("UPDATE items SET \"offset\" = NULL WHERE source = 'chats'", "without a place"),
    ],
)
def test_unbuildable_manifest(pantry, sql, state):
    pantry.change(sql)
    with pytest.raises(UnbuildableSample) as told:
        build(pantry)
    assert told.value.counts == {state: 20}


def test_unknown_sample(pantry):
    with read_catalog(pantry.workspace) as connection, pytest.raises(UnknownManifest, match="small"):
        plan_build(connection, pantry.workspace, "large", CorpusOptions())


@pytest.mark.parametrize("size", ["0", "-1MB", "much"])
def test_impossible_shard_sizes(size):
    with pytest.raises(ValueError, match="shard_size"):
        CorpusOptions.model_validate({"shard_size": size})


def test_shard_sizes():
    assert CorpusOptions.model_validate({"shard_size": "1GB"}).shard_size == 10**9
    assert CorpusOptions.model_validate({"shard_size": "1MiB"}).shard_size == 2**20
