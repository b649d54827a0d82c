"""The shards of a corpus: what is in them, that they are the same however they came to be."""

from __future__ import annotations

import hashlib
import json
import tarfile
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from derlem.catalog.connection import read_catalog, write_catalog
from derlem.corpus.build import BuildResult, build_corpus
from derlem.corpus.corpus_options import CorpusOptions
from derlem.corpus.plan import plan_build
from derlem.sampling.draw import draw_sample
from derlem.sampling.sample_options import SampleOptions
from tests.factories.filled_workspace import FilledWorkspace, MakeFilled


def options(format: str = "webdataset", size: str = "20KB") -> CorpusOptions:
    return CorpusOptions.model_validate({"format": format, "shard_size": size})


def build(
    filled: FilledWorkspace,
    format: str = "webdataset",
    size: str = "20KB",
    workers: int = 1,
    name: str = "small",
) -> BuildResult:
    seen: list[tuple[int, int]] = []
    result = build_corpus(
        filled.workspace,
        name,
        options(format, size),
        "run-3",
        workers,
        lambda samples, size: seen.append((samples, size)),
    )
    assert sum(samples for samples, _ in seen) == result.samples
    assert sum(size for _, size in seen) == result.bytes
    return result


def hashes(result: BuildResult) -> list[str]:
    return [shard.sha256 for shard in result.shards]


def content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: content(tar, member) for member in tar}


def test_tar_holds_the_manifest_in_order(filled: FilledWorkspace) -> None:
    result = build(filled)
    assert len(result.shards) > 3
    keys, texts = [], {}
    for shard in result.shards:
        assert shard.path.name == f"small-{shard.number:06d}.tar"
        content = members(shard.path)
        assert hashlib.sha256(shard.path.read_bytes()).hexdigest() == shard.sha256
        assert shard.path.stat().st_size == shard.bytes
        names = list(content)
        assert [name.rpartition(".")[2] for name in names] == ["jpg", "json"] * shard.samples
        for image, text in zip(names[::2], names[1::2], strict=True):
            key = image.removesuffix(".jpg")
            record = json.loads(content[text])
            assert text == f"{key}.json"
            assert hashlib.sha256(content[image]).hexdigest() == record["sha256"]
            assert None not in record.values()
            keys.append(key)
            texts[key] = record
    wanted = filled.ask("SELECT item_id, repeat FROM manifest ORDER BY position")
    assert keys == [item if not repeat else f"{item}-r1" for item, repeat in wanted]
    rows = filled.ask("SELECT item_id, caption, category, conversations FROM items")
    for item, caption, category, conversations in rows:
        record = texts[item]
        assert record["caption"] == (caption or "")
        assert "/".join(record["category"]) == category
        assert record["conversations"] == json.loads(conversations or "[]")


def test_tar_members_carry_no_accident(filled: FilledWorkspace) -> None:
    with tarfile.open(build(filled).shards[0].path) as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
            assert member.mode == 0o644
            assert member.isreg()


def test_parquet_holds_the_manifest_in_order(filled: FilledWorkspace) -> None:
    result = build(filled, "parquet")
    rows = [row for shard in result.shards for row in pq.read_table(shard.path).to_pylist()]
    wanted = filled.ask("SELECT item_id, repeat FROM manifest ORDER BY position")
    assert [(row["id"], row["repeat"]) for row in rows] == wanted
    assert len({row["image"]["path"] for row in rows}) == len(rows)
    for row in rows:
        assert hashlib.sha256(row["image"]["bytes"]).hexdigest() == row["sha256"]
        assert row["image"]["path"].removesuffix(".jpg").startswith(row["id"])
        assert None not in row.values()
    assert any(row["conversations"] for row in rows)


def test_the_shards_are_fixed_for_ever(make_filled: MakeFilled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Golden bytes: other hashes here mean that no corpus out there can be rebuilt as it is.

    Only of tars: a Parquet file names the library that wrote it.
    """
    filled = make_filled()
    monkeypatch.setattr(filled, "image", lambda index: (b"picture %d" % index * 40, 8, 8))
    filled.declare("clips", homepage="https://openclipart.org/")
    filled.declare("chats", license="CC-BY-4.0")
    clips = [{"category": f"clips/{n % 3}", "caption": f"çizim {n}", "language": "tr"} for n in range(14)]
    turns = json.dumps(
        [{"role": "user", "content": "<image>\nNedir?"}, {"role": "assistant", "content": "Ş"}]
    )
    filled.store("clips", clips)
    chats = {"category": "pictures", "conversations": turns, "license": "CC-BY-4.0"}
    filled.store("chats", [chats] * 3, first_image=100)
    with write_catalog(filled.workspace) as connection:
        draw_sample(connection, SampleOptions(name="small", seed=7, target=12), "run-2")
    assert hashes(build(filled)) == [
        "d6c12c3b735f7cbe2221788815ad23970edd477a088500a6b0aaa2fd54dfba31",
        "7b7d2f5d8d27c7b73371e0c2050633499cf4c4067e0a0e9c4d33caff33cecd5d",
    ]


@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_workers_do_not_change_the_bytes(
    filled: FilledWorkspace, make_filled: MakeFilled, format: str
) -> None:
    alone = build(filled, format)
    for path in filled.workspace.corpora.rglob("*"):
        if path.is_file():
            path.unlink()
    assert hashes(build(filled, format, workers=2)) == hashes(alone)


@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_order_of_the_catalog_does_not_change_the_bytes(
    filled: FilledWorkspace, make_filled: MakeFilled, format: str
) -> None:
    filled.change("CREATE TABLE turned AS SELECT * FROM items ORDER BY md5(item_id || 'x')")
    before = hashes(build(filled, format))
    filled.change("DELETE FROM items")
    filled.change("INSERT INTO items SELECT * FROM turned")
    filled.change("CREATE TABLE turned_rows AS SELECT * FROM manifest_rows ORDER BY md5(item_id)")
    filled.change("DELETE FROM manifest_rows")
    filled.change("INSERT INTO manifest_rows SELECT * FROM turned_rows")
    for path in filled.workspace.corpora.rglob("*"):
        if path.is_file():
            path.unlink()
    assert hashes(build(filled, format)) == before


def test_second_build_writes_nothing(filled: FilledWorkspace) -> None:
    first = build(filled)
    times = [shard.path.stat().st_mtime_ns for shard in first.shards]
    second = build(filled)
    assert second.rewritten == 0
    assert [shard.path.stat().st_mtime_ns for shard in second.shards] == times
    assert [shard.built_at for shard in second.shards] == [shard.built_at for shard in first.shards]


def test_damaged_and_missing_shards_are_written_again(filled: FilledWorkspace) -> None:
    first = build(filled)
    data = bytearray(first.shards[1].path.read_bytes())
    data[700] ^= 1
    first.shards[1].path.write_bytes(data)
    first.shards[2].path.unlink()
    second = build(filled)
    assert [shard.number for shard in second.shards if shard.rewritten] == [1, 2]
    assert hashes(second) == hashes(first)


def test_changed_caption_rewrites_its_shard_only(filled: FilledWorkspace) -> None:
    first = build(filled)
    (item,) = filled.ask("SELECT item_id FROM manifest WHERE position = 0")[0]
    filled.change("UPDATE items SET caption = 'başka' WHERE item_id = ?", item)
    second = build(filled)
    assert second.shards[0].rewritten
    assert hashes(second)[0] != hashes(first)[0]
    assert second.rewritten <= 2  # the item is repeated somewhere, perhaps


def test_shards_of_another_shape_are_removed(filled: FilledWorkspace) -> None:
    small = build(filled)
    assert len(small.shards) > 1
    large = build(filled, size="1GB")
    assert [path.name for path in large.folder.glob("small-*")] == ["small-000000.tar"]
    columns = build(filled, "parquet", size="1GB")
    assert [path.name for path in columns.folder.glob("small-*")] == ["small-000000.parquet"]
    assert filled.ask("SELECT shard, path, samples FROM shards") == [
        (0, "corpora/small/small-000000.parquet", 41)
    ]


def test_shards_table_says_what_was_built(filled: FilledWorkspace) -> None:
    result = build(filled)
    rows = filled.ask(
        "SELECT shard, path, first, last, samples, bytes, sha256, built_at FROM shards ORDER BY shard"
    )
    assert rows == [
        (s.number, f"corpora/small/{s.path.name}", s.first, s.last, s.samples, s.bytes, s.sha256, s.built_at)
        for s in result.shards
    ]
    assert rows[0][2] == 0
    assert rows[-1][3] == 41
    assert all(before[3] == after[2] for before, after in pairwise(rows))


def test_plan_foretells_the_build(filled: FilledWorkspace) -> None:
    with read_catalog(filled.workspace) as connection:
        plan = plan_build(connection, filled.workspace, "small", options())
    assert not filled.workspace.corpora.exists()
    result = build(filled)
    assert (plan.shards, plan.samples) == (len(result.shards), result.samples)
    assert plan.bytes == pytest.approx(result.bytes, rel=0.1)
    assert all(shard.bytes < 25_000 for shard in result.shards)


def test_manifest_file_names_each_samples_shard(filled: FilledWorkspace) -> None:
    result = build(filled)
    rows = pq.read_table(result.folder / "manifest.parquet").to_pylist()
    assert [row["position"] for row in rows] == list(range(41))
    for row in rows:
        shard = result.shards[row["shard"]]
        assert shard.first <= row["position"] < shard.last


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_other_image_formats_keep_their_extension(make_filled: MakeFilled, kind: str) -> None:
    filled = make_filled(kind=kind)
    filled.declare("clips")
    filled.store("clips", [{}, {}])
    filled.draw()
    names = list(members(build(filled).shards[0].path))
    assert [name.rpartition(".")[2] for name in names] == [kind, "json"] * 2


def test_the_time_and_status_of_fetching_stay_out_of_records(filled: FilledWorkspace) -> None:
    """The same bytes and headers, fetched again or unchanged since (304), give the same shards."""
    hashes = []
    for hour, status in ((1, 200), (2, 304)):
        at = f"2026-01-02T0{hour}:00:00+00:00"
        opt_out = {"robots_txt_status": 404, "site_files_read_at": at}
        meta = json.dumps({"fetch": {"at": at, "status": status}, "opt_out": opt_out, "n": 1})
        filled.change("UPDATE items SET meta = ? WHERE source = 'clips'", meta)
        result = build(filled)
        hashes.append([shard.sha256 for shard in result.shards])
    assert hashes[0] == hashes[1] and result.rewritten == 0
    kept = set()
    for shard in result.shards:
        with tarfile.open(shard.path) as tar:
            for member in tar:
                if member.name.endswith(".json") and (found := tar.extractfile(member)) is not None:
                    record = json.load(found)
                    kept |= {record["meta"]} if record["source"] == "clips" else set()
    assert [json.loads(meta) for meta in kept] == [
        {"fetch": {}, "opt_out": {"robots_txt_status": 404}, "n": 1}
    ]


ODD = '"\\\n\x01\u015f a'
"""Characters that take one byte, two or six in a JSON text."""


@pytest.mark.parametrize("repeats", [1, 60, 400])
def test_shards_stay_within_their_size(make_filled: MakeFilled, repeats: int) -> None:
    """However many characters of captions, categories and `meta` are escaped."""
    filled = make_filled()
    filled.declare("clips")
    texts = [(ODD * repeats)[number : number + repeats] for number in range(40)]
    rows = [
        {"caption": text, "category": "/".join(['a"b'] * (1 + repeats % 7)), "meta": json.dumps({"m": text})}
        for text in texts
    ]
    filled.store("clips", rows)
    filled.draw()
    options = CorpusOptions.model_validate({"shard_size": "20KB"})
    shards = build_corpus(filled.workspace, "small", options, "r", 1, lambda *_: None).shards
    assert all(shard.bytes <= 20_000 or shard.samples == 1 for shard in shards)
    assert sum(shard.samples for shard in shards) == 40
