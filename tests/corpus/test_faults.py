"""Builds that are killed, that find the disk full, or that are asked for what cannot be built."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from derlem.catalog.connection import read_catalog
from derlem.core.errors import UnknownManifest
from derlem.corpus.build import BuildResult, build_corpus
from derlem.corpus.corpus_options import CorpusOptions
from derlem.corpus.errors import (
    DamagedImage,
    MissingBytes,
    MixedMediaTypes,
    NotEnoughSpace,
    UnbuildableSample,
)
from derlem.corpus.layout import CorpusFolder
from derlem.corpus.plan import plan_build
from tests.factories.filled_workspace import FilledWorkspace

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


def build(filled: FilledWorkspace, workers: int = 1, **changes: str) -> BuildResult:
    options = CorpusOptions.model_validate(OPTIONS | changes)
    return build_corpus(filled.workspace, "small", options, "run-3", workers, lambda *_: None)


@pytest.mark.short(1)
@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_killed_builds_end_in_the_same_bytes(
    filled: FilledWorkspace, tmp_path: Path, format: str, repeats: Callable[[int, int], int]
) -> None:
    wanted = [shard.sha256 for shard in build(filled, format=format).shards]
    for path in sorted(filled.workspace.corpora.rglob("*"), reverse=True):
        if path.is_file():
            path.unlink()
    script = tmp_path / "build.py"
    script.write_text(BUILD)
    dice = random.Random(5)
    for _ in range(repeats(5, 20)):
        process = subprocess.Popen(
            [sys.executable, str(script), str(filled.workspace.root), format],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        process.stdout.readline()  # the first shard, new or found
        time.sleep(dice.random() * 0.2)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for _, shard in shards(filled):
            assert shard.stat().st_size > 0  # whole or not there
    result = build(filled, format=format)
    assert [shard.sha256 for shard in result.shards] == wanted
    assert result.rewritten < len(wanted)
    staging = filled.workspace.corpora / ".small.build"
    assert {path.suffix for path in staging.iterdir()} == {".json"}


def shards(filled: FilledWorkspace) -> list[tuple[int, Path]]:
    return CorpusFolder(filled.workspace, "small").shards()


def test_workers_end_with_their_parent(filled: FilledWorkspace, tmp_path: Path) -> None:
    script = tmp_path / "build.py"
    script.write_text(BUILD.replace("flush=True)", "flush=True) or __import__('time').sleep(600)"))
    process = subprocess.Popen(
        [sys.executable, str(script), str(filled.workspace.root), "webdataset"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()  # a worker has written a shard
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert children
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


def test_an_interrupt_while_shards_are_handed_out_leaves_the_catalog_free(
    filled: FilledWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The traceback keeps the frames alive, as it does until the run is recorded as interrupted."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt(signal.SIGTERM)

    monkeypatch.setattr("derlem.core.workers.ProcessPoolExecutor.submit", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        build(filled, workers=2)
    filled.change("DELETE FROM shards")
    assert caught.value.args == (signal.SIGTERM,)


def test_full_disk_is_noticed_before_anything_is_written(
    filled: FilledWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("derlem.corpus.build.shutil.disk_usage", lambda _: usage(10**6, 10**6 - 5000, 5000))
    with pytest.raises(NotEnoughSpace) as caught:
        build(filled)
    assert caught.value.free == 5000
    assert caught.value.needed > 40 * 1024
    assert shards(filled) == []


def test_full_disk_does_not_matter_when_nothing_is_to_be_written(
    filled: FilledWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = build(filled).bytes
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("derlem.corpus.build.shutil.disk_usage", lambda _: usage(10**6, 0, size // 2))
    assert build(filled).rewritten == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_missing_segment(filled: FilledWorkspace, workers: int) -> None:
    filled.workspace.segment_tar("chats/000000").unlink()
    with pytest.raises(MissingBytes, match=r"chats/000000\.tar is gone"):
        build(filled, workers)


def test_short_segment(filled: FilledWorkspace) -> None:
    path = filled.workspace.segment_tar("chats/000000")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(MissingBytes, match="lacks"):
        build(filled)
    assert filled.ask("SELECT count(*) FROM shards") == [(0,)]


@pytest.mark.parametrize("format", ["webdataset", "parquet"])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("damage", ["flipped", "zeroed"])
def test_damaged_segment(filled: FilledWorkspace, format: str, workers: int, damage: str) -> None:
    """The tar has its size; the error names the segment and what to do."""
    path = filled.workspace.segment_tar("chats/000000")
    data = bytearray(path.read_bytes())
    [(offset, length)] = filled.ask(
        """SELECT "offset", "length" FROM items WHERE segment = 'chats/000000' ORDER BY ALL LIMIT 1"""
    )
    if damage == "flipped":
        data[offset + length // 2] ^= 1
    else:
        data[offset : offset + length] = bytes(length)
    path.write_bytes(data)
    with pytest.raises(DamagedImage, match=r"chats/000000 is damaged.*derlem catalog repair") as caught:
        build(filled, workers, format=format)
    assert (caught.value.segment, caught.value.offset) == ("chats/000000", offset)
    assert filled.ask("SELECT count(*) FROM shards") == [(0,)]


def test_mixed_media_types(filled: FilledWorkspace) -> None:
    filled.change("UPDATE items SET media_type = 'image/png' WHERE source = 'chats'")
    with pytest.raises(MixedMediaTypes) as caught:
        build(filled)
    assert caught.value.counts == {"image/jpeg": 21, "image/png": 20}


@pytest.mark.parametrize("media_type", ["image/gif", None])
def test_media_type_that_no_corpus_has(filled: FilledWorkspace, media_type: str | None) -> None:
    filled.change("UPDATE items SET media_type = ?", media_type)
    with pytest.raises(MixedMediaTypes):
        build(filled)


@pytest.mark.parametrize(
    ("sql", "state"),
    [
        ("DELETE FROM items WHERE source = 'chats'", "not in the catalog"),
        ("UPDATE items SET status = 'withdrawn' WHERE source = 'chats'", "withdrawn"),
        ("UPDATE items SET \"offset\" = NULL WHERE source = 'chats'", "without a place"),
    ],
)
def test_unbuildable_manifest(filled: FilledWorkspace, sql: str, state: str) -> None:
    filled.change(sql)
    with pytest.raises(UnbuildableSample) as caught:
        build(filled)
    assert caught.value.counts == {state: 20}


def test_unknown_sample(filled: FilledWorkspace) -> None:
    with read_catalog(filled.workspace) as connection, pytest.raises(UnknownManifest, match="small"):
        plan_build(connection, filled.workspace, "large", CorpusOptions())


@pytest.mark.parametrize("size", ["0", "-1MB", "much"])
def test_impossible_shard_sizes(size: str) -> None:
    with pytest.raises(ValueError, match="shard_size"):
        CorpusOptions.model_validate({"shard_size": size})


def test_shard_sizes() -> None:
    assert CorpusOptions.model_validate({"shard_size": "1GB"}).shard_size == 10**9
    assert CorpusOptions.model_validate({"shard_size": "1MiB"}).shard_size == 2**20
