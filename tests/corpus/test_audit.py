"""Every audit fires on the violation that it is for, and on a clean workspace none does."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot

from derlem.catalog.audit import AuditResult, load_audits, run_audits
from derlem.catalog.connection import read_catalog
from derlem.core.errors import ConfigError, NoAudits, QueryError
from derlem.corpus.build import BuildResult, build_corpus
from derlem.corpus.corpus_options import CorpusOptions
from derlem.corpus.shard_scan import scan_shards
from derlem.pipeline.purge import purge_residue
from tests.factories.filled_workspace import FilledWorkspace, MakeFilled


def build(filled: FilledWorkspace, format: str = "webdataset") -> BuildResult:
    options = CorpusOptions.model_validate({"format": format, "shard_size": "20KB"})
    return build_corpus(filled.workspace, "small", options, "run-3", 1, lambda *_: None)


def audit(filled: FilledWorkspace) -> dict[str, AuditResult]:
    found = scan_shards(filled.workspace, purge_residue(filled.workspace), 1)
    with read_catalog(filled.workspace) as connection:
        results = run_audits(connection, load_audits(), found)
    return {result.audit.name: result for result in results}


def firing(filled: FilledWorkspace) -> set[str]:
    return {name for name, result in audit(filled).items() if result.count}


def shard(filled: FilledWorkspace, number: int = 0, suffix: str = "tar") -> Path:
    return filled.workspace.corpora / "small" / f"small-{number:06d}.{suffix}"


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


@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_clean_workspace_passes_all(filled: FilledWorkspace, format: str) -> None:
    build(filled, format)
    assert firing(filled) == set()


def test_clean_without_any_corpus(make_filled: MakeFilled) -> None:
    filled = make_filled()
    filled.declare("clips")
    filled.store("clips", [{}])
    assert firing(filled) == set()
    filled.draw()
    assert firing(filled) == {"manifest_not_built"}


CHANGES = {
    "source_without_items": """
        INSERT INTO sources
        SELECT 'empty', 9, adapter, license, NULL, config, config_hash, declared_at, NULL, config_hash
        FROM sources LIMIT 1""",
    "source_gone_but_in_corpus": "UPDATE sources SET withdrawn_at = now() WHERE source = 'chats'",
    "items_of_gone_source": "UPDATE sources SET withdrawn_at = now() WHERE source = 'chats'",
    "listed_under_other_declaration": "UPDATE sources SET listed_hash = NULL WHERE source = 'chats'",
    "items_of_undeclared_source": "DELETE FROM sources WHERE source = 'chats'",
    "item_twice": "INSERT INTO items SELECT * FROM items LIMIT 1",
    "manifest_without_item": "DELETE FROM items WHERE item_id = (SELECT min(item_id) FROM items)",
    "manifest_without_bytes": """
        INSERT INTO manifest_rows
        SELECT manifest, 99, item_id, stratum, 5 FROM manifest_rows WHERE position = 0""",
    "bytes_without_manifest": "DELETE FROM manifest_rows WHERE position = 3",
    "manifest_in_wrong_shard": """
        UPDATE manifest_rows
        SET position = CASE position WHEN 0 THEN 40 ELSE 0 END WHERE position IN (0, 40)""",
    "position_twice": "UPDATE manifest_rows SET position = 1 WHERE position = 0",
    "shard_differs_from_catalog": "UPDATE shards SET sha256 = repeat('0', 64) WHERE shard = 1",
    "shard_numbers": "UPDATE shards SET shard = 77 WHERE shard = 1",
    "quota_off": """
        UPDATE allocations SET allocated = allocated + 1 WHERE source = 'chats' AND node = 'chats'""",
    "allocation_not_a_sum": """
        UPDATE allocations SET allocated = allocated + 1 WHERE node = 'clips' AND source = ''""",
    "corpus_without_manifest": "DELETE FROM manifests",
    "status_unknown": "UPDATE items SET status = 'lost' WHERE source = 'chats'",
    "status_against_reason": "UPDATE items SET status = 'rejected' WHERE source = 'chats'",
    "counts_do_not_add_up": "UPDATE items SET status = 'lost' WHERE source = 'chats'",
    "ready_without_bytes": "UPDATE items SET \"offset\" = 99999999 WHERE source = 'chats'",
    "items_without_license": "UPDATE items SET license = NULL WHERE source = 'chats'",
    "opted_out_in_corpus": """UPDATE items SET meta = '{"opt_outs":["tdmrep"]}' WHERE source = 'chats'""",
    "withdrawn_in_corpus": """
        UPDATE items SET status = 'withdrawn', reason = 'takedown' WHERE source = 'chats'""",
    "category_not_normal": "UPDATE items SET category = 'chats//x ' WHERE source = 'chats'",
    "document_without_pages": "UPDATE items SET status = 'expanded' WHERE source = 'chats'",
    "image_of_another_revision": "UPDATE items SET image_revision = 'other' WHERE source = 'chats'",
    "image_differs_from_catalog": "UPDATE items SET sha256 = repeat('1', 64) WHERE source = 'chats'",
    "record_differs_from_catalog": "UPDATE items SET license = 'MIT' WHERE source = 'chats'",
    "segment_file_missing": """
        INSERT INTO segments
        SELECT 'chats/000009', source, 9, kind, run, 0, 5, written_at FROM segments LIMIT 1""",
}
"""Violations that one statement in the catalog plants."""


def changed_by(sql: str) -> Callable[[FilledWorkspace], None]:
    return lambda built: built.change(sql)


def purge_in_name_only(built: FilledWorkspace) -> None:
    built.change(
        """UPDATE items SET status = 'withdrawn', reason = 'takedown', meta = '{"purged":true}'
        WHERE item_id = (SELECT min(item_id) FROM items)"""
    )


def late_source(built: FilledWorkspace) -> None:
    built.declare("late")
    built.store("late", [{}], first_image=900)


def second_item_with_an_image(built: FilledWorkspace) -> None:
    built.declare("copies")
    built.store("copies", [{}])  # the same image as the first of `clips`
    built.draw()
    build(built)


def foreign_shard(built: FilledWorkspace) -> None:
    shard(built, 99).write_bytes(shard(built).read_bytes())


def truncated_shard(built: FilledWorkspace) -> None:
    data = shard(built).read_bytes()
    shard(built).write_bytes(data[: len(data) // 2])


def manifest_without_corpus(built: FilledWorkspace) -> None:
    built.draw("another")


PLANTED: dict[str, Callable[[FilledWorkspace], None]] = {
    **{name: changed_by(sql) for name, sql in CHANGES.items()},
    "purged_but_there": purge_in_name_only,
    "source_without_samples": late_source,
    "image_twice": second_item_with_an_image,
    "sample_twice": foreign_shard,
    "shard_unreadable": truncated_shard,
    "manifest_not_built": manifest_without_corpus,
}
"""A violation for every audit: a change of a clean workspace that makes it fire."""


def test_every_audit_has_a_planted_violation() -> None:
    assert set(PLANTED) == {found.name for found in load_audits()}


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_violation_fires(built: FilledWorkspace, name: str) -> None:
    PLANTED[name](built)
    result = audit(built)[name]
    assert result.count > 0
    assert result.examples
    assert len(result.examples) <= 5


NULLS = {
    "manifest_without_item": "UPDATE items SET status = 'discovered' WHERE source = 'chats'",
    "image_of_another_revision": "UPDATE items SET image_revision = 'other' WHERE source = 'chats'",
    "image_differs_from_catalog": "UPDATE items SET sha256 = NULL WHERE source = 'chats'",
    "ready_without_bytes": "UPDATE items SET width = NULL WHERE source = 'chats'",
    "record_differs_from_catalog": "UPDATE items SET license = NULL WHERE source = 'chats'",
    "items_without_license": "UPDATE items SET license = ' ' WHERE source = 'chats'",
}


@pytest.mark.parametrize("name", sorted(NULLS))
def test_null_never_passes(built: FilledWorkspace, name: str) -> None:
    built.change(NULLS[name])
    assert audit(built)[name].count > 0


def test_decomposed_category_is_found(built: FilledWorkspace) -> None:
    built.change("UPDATE items SET category = 'i\u0307ğne/cig\u0306dem' WHERE source = 'chats'")
    assert audit(built)["category_not_normal"].examples[0]["normal"] == "i̇ğne/ciğdem"


def test_rows_without_a_manifest_are_found(filled: FilledWorkspace) -> None:
    filled.change("DELETE FROM manifests")
    assert "corpus_without_manifest" in firing(filled)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE manifest_rows SET stratum = 999 WHERE position = 0",
        "UPDATE allocations SET stratum = 0 WHERE stratum = 1",
    ],
)
def test_rows_of_no_stratum_or_of_two_are_found(built: FilledWorkspace, change: str) -> None:
    built.change(change)
    assert "quota_off" in firing(built)


def test_missing_segment_file(built: FilledWorkspace) -> None:
    built.workspace.segment_tar("chats/000000").unlink()
    assert firing(built) == {"segment_file_missing"}


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


def test_record_with_another_hash(built: FilledWorkspace) -> None:
    one_record(built, "sha256", "0" * 64)
    assert "image_differs_from_catalog" in firing(built)


def test_same_image_twice(make_filled: MakeFilled) -> None:
    filled = make_filled()
    filled.declare("clips")
    filled.declare("more")
    filled.store("clips", [{}])
    filled.store("more", [{}])
    filled.draw()
    build(filled)
    assert firing(filled) == {"image_twice"}


def test_repeats_are_no_duplicates(built: FilledWorkspace) -> None:
    assert built.ask("SELECT count(*) FROM manifest WHERE repeat = 1") == [(1,)]
    assert audit(built)["image_twice"].count == 0


def test_source_that_did_not_land(built: FilledWorkspace) -> None:
    late_source(built)
    assert firing(built) == {"source_without_samples"}
    built.change("""UPDATE manifests SET config = '{"min_per_source":0}'""")
    assert firing(built) == set()


def test_source_that_was_taken_down_need_not_land(built: FilledWorkspace) -> None:
    late_source(built)
    built.change("UPDATE items SET status = 'withdrawn', reason = 'takedown' WHERE source = 'late'")
    assert firing(built) == set()


def test_source_of_nothing_but_earlier_duplicates_need_not_land(built: FilledWorkspace) -> None:
    built.declare("copies")
    built.store("copies", [{}, {}])  # the same two images as the first of `clips`
    assert firing(built) == set()
    built.store("copies", [{}], first_image=900)
    assert firing(built) == {"source_without_samples"}


def test_opt_out_that_the_sample_does_not_respect(built: FilledWorkspace) -> None:
    PLANTED["opted_out_in_corpus"](built)
    built.change("""UPDATE manifests SET config = '{"respect_opt_outs":false}'""")
    assert audit(built)["opted_out_in_corpus"].count == 0


def test_purged_in_name_only(built: FilledWorkspace) -> None:
    purge_in_name_only(built)
    found = audit(built)["purged_but_there"]
    assert {row["what"] for row in found.examples} == {"image", "texts"}


def test_all_audits_transpile_to_spark() -> None:
    for found in load_audits():
        (text,) = sqlglot.transpile(
            found.sql, read="duckdb", write="spark", unsupported_level=sqlglot.ErrorLevel.RAISE
        )
        sqlglot.parse_one(text, read="spark")


def test_audits_of_ones_own(built: FilledWorkspace, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    with pytest.raises(NoAudits):
        load_audits([own])
    (own / "wide.sql").write_text(
        "-- name: wide\n-- severity: warn\n-- meaning: Wide images,\n--   all of them.\nSELECT * FROM items"
    )
    audits = [found for found in load_audits([own]) if found.name == "wide"]
    with read_catalog(built.workspace) as connection:
        (result,) = run_audits(
            connection, audits, scan_shards(built.workspace, purge_residue(built.workspace))
        )
    assert (result.count, len(result.examples), result.failed) == (40, 5, False)
    assert result.audit.meaning == "Wide images, all of them."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1", "-- name:"),
        ("-- name: a\n-- meaning: b\nSELECT 1", "-- severity:"),
        ("-- name: a\n-- severity: fatal\n-- meaning: b\nSELECT 1", "error or warn"),
        ("-- name: item_twice\n-- severity: warn\n-- meaning: b\nSELECT 1", "two audits"),
    ],
)
def test_bad_headers(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.sql").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_audits([tmp_path])


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load_audits([tmp_path / "nowhere"])


def test_no_audit_is_an_error(filled: FilledWorkspace) -> None:
    with read_catalog(filled.workspace) as connection, pytest.raises(NoAudits):
        run_audits(connection, [], scan_shards(filled.workspace, purge_residue(filled.workspace)))


def test_audit_with_wrong_sql_is_an_error(filled: FilledWorkspace, tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text(
        "-- name: a\n-- severity: warn\n-- meaning: b\nSELECT nothing FROM nowhere"
    )
    audits = [found for found in load_audits([tmp_path]) if found.name == "a"]
    with read_catalog(filled.workspace) as connection, pytest.raises(QueryError, match="audit a"):
        run_audits(connection, audits, scan_shards(filled.workspace, purge_residue(filled.workspace)))


def test_the_scan_reads_both_formats_alike(filled: FilledWorkspace) -> None:
    found = []
    for format in ("webdataset", "parquet"):
        build(filled, format)
        held = scan_shards(filled.workspace, purge_residue(filled.workspace), 1)
        found.append(pa.concat_tables(pq.read_table(path) for path in held.shard_samples).to_pylist())
    by_key = [sorted(rows, key=lambda row: row["key"]) for rows in found]
    assert by_key[0] == by_key[1]
    assert len(by_key[0]) == 41
