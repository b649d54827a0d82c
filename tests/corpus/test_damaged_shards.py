"""Audits find shards that are missing, damaged, foreign or changed."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from derlem.corpus.shard_scan import scan_shards
from derlem.pipeline.purge import purge_residue
from tests.factories.audited import audit, build, firing, foreign_shard, shard, truncated_shard
from tests.factories.filled_workspace import FilledWorkspace


def content_of(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def rewrite(path: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """Write a tar anew, each member changed, or left out where `change` gives None."""
    with tarfile.open(path) as tar:
        members = [(member, content_of(tar, member)) for member in tar]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for member, content in members:
            changed = change(member.name, content)
            if changed is not None:
                member.size = len(changed)
                tar.addfile(member, io.BytesIO(changed))


def one_record(filled: FilledWorkspace, name: str, value: object, number: int = 0) -> None:
    """Change a field of the first record of a shard."""
    done: list[str] = []

    def change(member: str, content: bytes) -> bytes:
        if member.endswith(".json") and not done:
            done.append(member)
            return json.dumps(json.loads(content) | {name: value}).encode()
        return content

    rewrite(shard(filled, number), change)


def test_deleted_shard(built: FilledWorkspace) -> None:
    shard(built, 1).unlink()
    assert firing(built) == {"shard_differs_from_catalog", "manifest_without_bytes"}


def test_deleted_corpus(filled: FilledWorkspace) -> None:
    for path in build(filled).folder.iterdir():
        path.unlink()
    assert {"shard_differs_from_catalog", "manifest_without_bytes", "source_without_samples"} <= firing(
        filled
    )


def test_changed_image(built: FilledWorkspace) -> None:
    data = bytearray(shard(built).read_bytes())
    data[512 + 300] ^= 1
    shard(built).write_bytes(data)
    assert firing(built) == {"shard_differs_from_catalog", "image_differs_from_catalog"}


def test_truncated_shard(built: FilledWorkspace) -> None:
    truncated_shard(built)
    found = audit(built)
    assert found["shard_unreadable"].examples[0]["error"].startswith("it ends within")
    assert found["manifest_without_bytes"].count > 0


@pytest.mark.parametrize("garbage", [b"", b"x" * 5000, b"\0" * 512])
def test_garbage_for_a_shard(built: FilledWorkspace, garbage: bytes) -> None:
    shard(built).write_bytes(garbage)
    found = audit(built)
    assert found["shard_differs_from_catalog"].count == 1
    assert found["manifest_without_bytes"].count > 0


def test_garbage_for_a_parquet_shard(built_parquet: FilledWorkspace) -> None:
    shard(built_parquet, suffix="parquet").write_bytes(b"PAR1 and nothing else")
    assert {"shard_unreadable", "manifest_without_bytes"} <= firing(built_parquet)


def test_foreign_shard(built: FilledWorkspace) -> None:
    foreign_shard(built)
    found = audit(built)
    assert found["sample_twice"].count > 0
    assert found["shard_differs_from_catalog"].examples[0]["trouble"] == "unknown to the catalog"


def test_foreign_member(built: FilledWorkspace) -> None:
    rewrite(shard(built), lambda name, content: content)
    with tarfile.open(shard(built), "a", format=tarfile.USTAR_FORMAT) as tar:
        for suffix in ("jpg", "json"):
            member = tarfile.TarInfo(f"stranger.{suffix}")
            content = b"{}" if suffix == "json" else b"x"
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    assert {"shard_differs_from_catalog", "shard_unreadable"} <= firing(built)


@pytest.mark.parametrize("suffix", [".jpg", ".json"])
def test_member_twice(built: FilledWorkspace, suffix: str) -> None:
    with tarfile.open(shard(built)) as tar:
        members = [(member, content_of(tar, member)) for member in tar]
    with tarfile.open(shard(built), "w", format=tarfile.USTAR_FORMAT) as tar:
        for place, (member, content) in enumerate(members):
            for _ in range(2 if member.name.endswith(suffix) and place < 2 else 1):
                tar.addfile(member, io.BytesIO(content))
    assert audit(built)["sample_twice"].count == 1


@pytest.mark.short(4)
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("manifest.parquet", "gone"),
        ("manifest.parquet", "emptied"),
        ("stats.json", "gone"),
        ("stats.json", "changed"),
        ("README.md", "changed"),
        ("croissant.json", "changed"),
    ],
)
def test_damaged_description(built: FilledWorkspace, name: str, change: str) -> None:
    path = shard(built).with_name(name)
    if change == "gone":
        path.unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(b"" if change == "emptied" else content[:-1] + bytes([content[-1] ^ 1]))
    assert firing(built) == {"corpus_file_differs"}
    build(built)
    assert firing(built) == set()


def test_files_that_no_loader_reads_are_silent(built: FilledWorkspace) -> None:
    folder = shard(built).parent
    (folder / "notes").mkdir()
    for name in ("LICENSE", "notes/why.txt", ".gitattributes"):
        (folder / name).write_text("text")
    assert firing(built) == set()


@pytest.mark.parametrize(
    "name", ["small-extra.tar", "small-000000 (copy).tar", "old/small-000000.tar", "X.PARQUET"]
)
def test_files_that_a_loader_reads(built: FilledWorkspace, name: str) -> None:
    path = shard(built).parent / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(shard(built).read_bytes())
    assert audit(built)["corpus_file_unknown"].count == 1


def test_image_left_out(built: FilledWorkspace) -> None:
    with tarfile.open(shard(built)) as tar:
        gone = next(member.name for member in tar if member.name.endswith(".jpg"))
    rewrite(shard(built), lambda name, content: None if name == gone else content)
    found = audit(built)
    assert found["image_differs_from_catalog"].count == 1
    assert found["manifest_without_bytes"].count == 1


@pytest.mark.parametrize(("field", "value"), [("license", "MIT"), ("category", ["x"]), ("source", "clips2")])
def test_record_that_lies(built: FilledWorkspace, field: str, value: object) -> None:
    one_record(built, field, value)
    assert "record_differs_from_catalog" in firing(built)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("caption", "another"),
        ("language", "xx"),
        ("conversations", [{"role": "user", "content": "?"}]),
        ("captions", ["one", "two"]),
        ("uri", "elsewhere"),
        ("locator", "elsewhere"),
        ("original_sha256", "0" * 64),
        ("parent_id", "0" * 32),
        ("id", "0" * 32),
        ("width", 1),
        ("height", 1),
        ("meta", "{}"),
    ],
)
def test_any_other_field_of_a_record_that_lies(built: FilledWorkspace, field: str, value: object) -> None:
    one_record(built, field, value)
    found = audit(built)["record_fields_differ"]
    assert found.count == 1
    assert field in found.examples[0]["fields"]


def test_record_with_another_hash(built: FilledWorkspace) -> None:
    one_record(built, "sha256", "0" * 64)
    assert "image_differs_from_catalog" in firing(built)


def test_the_scan_reads_both_formats_alike(filled: FilledWorkspace) -> None:
    found = []
    for format in ("webdataset", "parquet"):
        build(filled, format)
        held = scan_shards(filled.workspace, purge_residue(filled.workspace), 1)
        found.append(pa.concat_tables(pq.read_table(path) for path in held.shard_samples).to_pylist())
    by_key = [sorted(rows, key=lambda row: row["key"]) for rows in found]
    assert by_key[0] == by_key[1]
    assert len(by_key[0]) == 41
