"""Every audit fires on the violation that it is for, and on a clean workspace none does."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pyarrow.parquet as pq
import pytest

from derlem.catalog.audit import load_audits
from tests.factories.audited import audit, build, firing, foreign_shard, shard, truncated_shard
from tests.factories.filled_workspace import FilledWorkspace, MakeFilled


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
    "source_gone_but_in_corpus": """
        UPDATE sources SET withdrawn_at = TIMESTAMP '2025-01-01' WHERE source = 'chats'""",
    "corpus_behind_catalog": "UPDATE sources SET withdrawn_at = now() WHERE source = 'chats'",
    "corpus_not_rebuilt": "UPDATE manifests SET fingerprint = repeat('0', 64)",
    "source_excluded": """
        UPDATE exclusions SET source = 'chats'; UPDATE allocations SET cap = 0 WHERE node IN ('', 'chats')""",
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
    "position_out_of_order": "UPDATE manifests SET seed = seed + 1",
    "allocation_outside_bounds": "UPDATE allocations SET cap = allocated - 1 WHERE node = 'chats'",
    "item_lost": "DELETE FROM items WHERE source = 'chats'",
    "segment_unknown": "DELETE FROM segments WHERE segment = 'clips/000000'",
    "corpus_file_differs": "UPDATE corpus_files SET sha256 = repeat('0', 64) WHERE path LIKE '%README.md'",
    "status_unknown": "UPDATE items SET status = 'lost' WHERE source = 'chats'",
    "status_against_reason": "UPDATE items SET status = 'rejected' WHERE source = 'chats'",
    "counts_do_not_add_up": "UPDATE items SET status = 'lost' WHERE source = 'chats'",
    "counts_differ_from_items": "UPDATE item_counts SET items = items + 1 WHERE source = 'chats'",
    "ready_without_bytes": "UPDATE items SET \"offset\" = 99999999 WHERE source = 'chats'",
    "items_without_license": "UPDATE items SET license = NULL WHERE source = 'chats'",
    "opted_out_in_corpus": """UPDATE items SET meta = '{"opt_outs":["tdmrep"]}' WHERE source = 'chats'""",
    "withdrawn_in_corpus": """
        UPDATE items SET status = 'withdrawn', reason = 'takedown' WHERE source = 'chats'""",
    "placeholders": """
        UPDATE items SET conversations = replace(conversations, '<image>', '') WHERE source = 'chats'""",
    "category_not_normal": "UPDATE items SET category = 'chats//x ' WHERE source = 'chats'",
    "document_without_pages": "UPDATE items SET status = 'expanded' WHERE source = 'chats'",
    "image_of_another_revision": "UPDATE items SET image_revision = 'other' WHERE source = 'chats'",
    "image_differs_from_catalog": "UPDATE items SET sha256 = repeat('1', 64) WHERE source = 'chats'",
    "record_differs_from_catalog": "UPDATE items SET license = 'MIT' WHERE source = 'chats'",
    "record_fields_differ": "UPDATE items SET height = 7 WHERE source = 'chats'",
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


def manifest_without_corpus(built: FilledWorkspace) -> None:
    built.draw("another")


def extra_shard(built: FilledWorkspace) -> None:
    """A tar that the card's pattern includes, and that no build gives such a name."""
    shard(built).with_name("small-extra.tar").write_bytes(shard(built).read_bytes())


def released_with_another_manifest(built: FilledWorkspace) -> None:
    built.change("UPDATE manifests SET released_at = now()")
    path = built.workspace.corpora / "small" / "manifest.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)


def damaged_store(built: FilledWorkspace) -> None:
    """The images of a tar are zeroed, at its size."""
    path = built.workspace.segment_tar("chats/000000")
    path.write_bytes(bytes(path.stat().st_size))


def unmerged_segment(built: FilledWorkspace) -> None:
    """A run was killed before it committed its last segment."""
    for path in sorted((built.workspace.store / "clips").glob("000001.*")):
        shutil.copy(path, path.with_name(f"000002{path.suffix}"))


PLANTED: dict[str, Callable[[FilledWorkspace], None]] = {
    **{name: changed_by(sql) for name, sql in CHANGES.items()},
    "purged_but_there": purge_in_name_only,
    "released_differs_from_manifest": released_with_another_manifest,
    "source_without_samples": late_source,
    "image_twice": second_item_with_an_image,
    "sample_twice": foreign_shard,
    "corpus_file_unknown": extra_shard,
    "stored_image_differs": damaged_store,
    "segment_not_merged": unmerged_segment,
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


@pytest.mark.parametrize("damage", ["emptied", "no file", "cut"])
def test_segment_rows_that_are_lost(built: FilledWorkspace, damage: str) -> None:
    path = built.workspace.segment_rows("chats/000000")
    if damage == "emptied":
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    else:
        path.write_bytes(b"" if damage == "no file" else path.read_bytes()[:-20])
    assert firing(built) == {"segment_file_missing"}


def test_flipped_and_zeroed_tars(built: FilledWorkspace) -> None:
    path = built.workspace.segment_tar("clips/000001")
    data = bytearray(path.read_bytes())
    data[512 + 40] ^= 1
    path.write_bytes(data)
    assert firing(built) == {"stored_image_differs"}
    assert audit(built)["stored_image_differs"].count == 1
    damaged_store(built)
    assert audit(built)["stored_image_differs"].count == 21


def test_deleted_rows_of_items_and_segments(built: FilledWorkspace) -> None:
    built.change("DELETE FROM manifest_rows")
    built.change("DELETE FROM items WHERE source = 'clips' AND ordinal = 3")
    assert audit(built)["item_lost"].count == 1
    built.change("DELETE FROM segments")
    found = audit(built)
    assert found["segment_unknown"].count == 3, "items refer to them"
    built.change("DELETE FROM items")
    assert audit(built)["segment_not_merged"].count == 3, "nothing refers to them, as after a kill"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE manifest_rows SET position = position + 100 WHERE position = 4",
        "UPDATE manifest_rows SET position = -1 WHERE position = 4",
    ],
)
def test_positions_that_moved(built: FilledWorkspace, change: str) -> None:
    built.change(change)
    assert audit(built)["position_out_of_order"].count > 0


def test_withdrawn_items_may_leave_an_allocation_under_its_floor(built: FilledWorkspace) -> None:
    built.change("UPDATE allocations SET floor = allocated + 1, cap = cap + 1 WHERE node = 'chats'")
    assert audit(built)["allocation_outside_bounds"].count > 0
    built.change("UPDATE allocations SET why = why || '; 1 withdrawn' WHERE node = 'chats'")
    assert audit(built)["allocation_outside_bounds"].count == 0


def test_missing_segment_file(built: FilledWorkspace) -> None:
    built.workspace.segment_tar("chats/000000").unlink()
    assert firing(built) == {"segment_file_missing", "stored_image_differs"}


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
