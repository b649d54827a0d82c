"""A released corpus stays as it is, but for takedowns, which change no other sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from derlem.catalog.connection import write_catalog
from derlem.catalog.maintenance import rebuild
from derlem.core.errors import UnknownManifest
from derlem.corpus import released_shards
from derlem.corpus.corpus_options import CorpusOptions
from derlem.corpus.errors import NotReleasable, UnreadableCorpus
from derlem.corpus.layout import CorpusFolder
from derlem.corpus.release import drop_corpus, find_corpus, release_corpus
from derlem.corpus.restore import restore_corpora
from derlem.corpus.withdraw import withdraw_from_corpora
from tests.factories.audited import audit, firing, shard
from tests.factories.filled_workspace import FilledWorkspace

TAKEDOWN = "UPDATE items SET status = 'withdrawn', reason = 'takedown' WHERE "
LATER = "updated_at = now()"


def records(built: FilledWorkspace) -> dict[str, dict[str, Any]]:
    """The rows of the manifest file by key."""
    rows = pq.read_table(CorpusFolder(built.workspace, "small").manifest).to_pylist()
    return {row["key"]: row for row in rows}


def withdraw(built: FilledWorkspace) -> Any:
    return withdraw_from_corpora(built.workspace, CorpusOptions(), "run-9", 1, lambda *_: None)


@pytest.fixture(params=["built", "built_parquet"])
def released(request: pytest.FixtureRequest) -> FilledWorkspace:
    built: FilledWorkspace = request.getfixturevalue(request.param)
    release_corpus(built.workspace, "small")
    return built


def test_a_release_is_kept_in_catalog_and_files(released: FilledWorkspace) -> None:
    first = find_corpus(released.workspace, "small")
    assert first.released_at is not None and (first.samples, first.shards > 3) == (41, True)
    assert release_corpus(released.workspace, "small") == first
    assert firing(released) == set()
    before = released.ask("FROM manifests"), released.ask("FROM shards ORDER BY ALL")
    rebuild(released.workspace, [], restore_corpora)
    assert (released.ask("FROM manifests"), released.ask("FROM shards ORDER BY ALL")) == before


def test_only_complete_corpora_are_released(built: FilledWorkspace) -> None:
    with pytest.raises(UnknownManifest):
        release_corpus(built.workspace, "other")
    built.draw("other")
    with pytest.raises(NotReleasable, match="derlem build other"):
        release_corpus(built.workspace, "other")
    built.change("UPDATE manifests SET fingerprint = repeat('0', 64)")
    with pytest.raises(NotReleasable, match="present manifest"):
        release_corpus(built.workspace, "small")


def test_a_damaged_corpus_is_not_released(built: FilledWorkspace) -> None:
    path = shard(built, 2)
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(NotReleasable, match=path.name):
        release_corpus(built.workspace, "small")
    assert find_corpus(built.workspace, "small").released_at is None


IN_STORE = {"stored_image_differs"}
"""The audit that sees that a test changed a hash in the catalog, and not the image in the store."""
MOVED = {
    "source gone": "UPDATE sources SET withdrawn_at = TIMESTAMP '2025-01-01' WHERE source = 'chats'",
    "other license": "UPDATE items SET license = 'MIT' WHERE source = 'chats'",
    "other image": "UPDATE items SET sha256 = repeat('1', 64) WHERE source = 'chats'",
    "not ready": "UPDATE items SET status = 'rejected', reason = 'gone' WHERE source = 'chats'",
    "opted out": """UPDATE items SET meta = '{"opt_outs":["tdmrep"]}' WHERE source = 'chats'""",
}
"""Changes of the catalog that are errors for other corpora."""


@pytest.mark.parametrize("change", MOVED)
def test_later_changes_of_the_catalog_are_warnings(built: FilledWorkspace, change: str) -> None:
    release_corpus(built.workspace, "small")
    built.change(MOVED[change])
    results = audit(built)
    assert {row["change"] for row in results["corpus_behind_catalog"].examples} == {change}
    assert {name for name, result in results.items() if result.failed} <= IN_STORE


def test_a_takedown_copies_all_other_samples(released: FilledWorkspace) -> None:
    """Although the catalog has other records and images by now, and items that no build could take."""
    before = records(released)
    hashes = dict(released.ask("SELECT shard, sha256 FROM shards"))
    [(item, repeated)] = released.ask("SELECT item_id, count(*) FROM manifest GROUP BY 1 HAVING count(*) > 1")
    released.change(f"UPDATE items SET license = 'MIT', caption = 'other', {LATER} WHERE source = 'clips'")
    released.change(f"UPDATE items SET status = 'rejected', reason = 'gone', {LATER} WHERE source = 'chats'")
    released.change(f"{TAKEDOWN} item_id = ?", item)
    [(gone, result)] = withdraw(released)
    assert sum(gone.samples.values()) == repeated == 2 and result.samples == 39
    touched = {row["shard"] for row in before.values() if row["item_id"] == item}
    assert {made.number for made in result.shards if made.rewritten} == touched
    after = dict(released.ask("SELECT shard, sha256 FROM shards"))
    assert {number for number in hashes if hashes[number] != after[number]} == touched
    assert records(released) == {key: row for key, row in before.items() if row["item_id"] != item}
    results = audit(released)
    assert [name for name, found in results.items() if found.failed] == []
    stats = json.loads(CorpusFolder(released.workspace, "small").stats.read_bytes())
    totals = stats["totals"]
    assert (totals["samples"], totals["withdrawn"]) == (39, 2)
    assert sum(row["samples"] for row in stats["composition"]) == 39 == stats["draw"]["selected"]
    assert sum(row["bytes"] for row in stats["sources"]) == totals["image_bytes"]
    assert "MIT" not in (CorpusFolder(released.workspace, "small").root / "README.md").read_text("utf-8")
    assert withdraw(released) == []


def test_a_takedown_reaches_an_image_that_its_item_no_longer_has(released: FilledWorkspace) -> None:
    [(item, image)] = released.ask("SELECT item_id, sha256 FROM items WHERE source = 'chats' LIMIT 1")
    released.change(f"UPDATE items SET sha256 = repeat('2', 64), {LATER} WHERE item_id = ?", item)
    released.change("INSERT INTO withdrawn_hashes VALUES (?)", image)
    [(gone, result)] = withdraw(released)
    assert gone.samples == {"chats": 1} and result.samples == 40
    assert item not in {row["item_id"] for row in records(released).values()}
    assert {name for name, found in audit(released).items() if found.failed} <= IN_STORE


@pytest.mark.short(2)
@pytest.mark.parametrize("step", ["_filter_manifest", "write_description", "rename", "record_shards"])
def test_an_interrupted_takedown_is_completed(
    released: FilledWorkspace, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(item,)] = released.ask("SELECT item_id FROM manifest WHERE position = 8")
    released.change(f"{TAKEDOWN} item_id = ?", item)

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(released_shards, step, stop)
        with pytest.raises(KeyboardInterrupt):
            withdraw(released)
    [(_, result)] = withdraw(released)
    assert item not in {row["item_id"] for row in records(released).values()}
    assert firing(released) == set() and result.samples == len(records(released))
    assert withdraw(released) == []


def test_a_takedown_without_a_description_empties_the_shards(released: FilledWorkspace) -> None:
    folder = CorpusFolder(released.workspace, "small")
    [(item,)] = released.ask("SELECT item_id FROM items WHERE source = 'chats' LIMIT 1")
    folder.stats.write_text("{}")
    released.change(f"{TAKEDOWN} item_id = ?", item)
    with pytest.raises(UnreadableCorpus, match="removed from the shards"):
        withdraw(released)
    results = audit(released)
    assert results["withdrawn_in_corpus"].count == results["shard_differs_from_catalog"].count == 0
    assert {name for name, found in results.items() if found.failed} == {
        "corpus_file_differs",
        "released_differs_from_manifest",
    }


def test_a_dropped_corpus_leaves_nothing(released: FilledWorkspace) -> None:
    workspace = released.workspace
    released.draw("other")
    with write_catalog(workspace) as connection:
        connection.execute("""UPDATE manifests SET config = '{"extend":"small"}' WHERE corpus = 'other'""")
    extent = find_corpus(workspace, "small")
    assert extent.extended_by == ("other",)
    assert drop_corpus(workspace, "small") == extent
    for table in ("manifests", "allocations", "exclusions", "shards", "manifest_items"):
        assert released.ask(f"SELECT 1 FROM {table} WHERE corpus = 'small'") == []
    assert len(released.ask("FROM manifest_items")) == 40
    assert [path.name for path in Path(workspace.corpora).iterdir()] == []
    with pytest.raises(UnknownManifest):
        drop_corpus(workspace, "small")


def test_a_folder_without_a_manifest_is_dropped(built: FilledWorkspace) -> None:
    built.change("DELETE FROM manifests")
    built.change("DELETE FROM manifest_rows")
    drop_corpus(built.workspace, "small")
    assert not CorpusFolder(built.workspace, "small").root.exists()
    assert built.ask("FROM shards") == []
