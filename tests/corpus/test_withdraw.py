"""Takedown from a built corpus: the touched shards change, all others keep their bytes."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from derlem.catalog.connection import read_catalog
from derlem.corpus.build import build_corpus
from derlem.corpus.corpus_options import CorpusOptions
from derlem.corpus.withdraw import Withdrawn, find_withdrawn, withdraw_from_corpora
from tests.factories.audited import firing
from tests.factories.filled_workspace import FilledWorkspace, MakeFilled

CONFIGURED = CorpusOptions.model_validate({"shard_size": "30KB"})
TAKEDOWN = "UPDATE items SET status = 'withdrawn', reason = 'takedown' WHERE "


def hashes(filled: FilledWorkspace) -> dict[int, str]:
    return dict(filled.ask("SELECT shard, sha256 FROM shards"))


def withdraw(filled: FilledWorkspace) -> list[tuple[Withdrawn, Any]]:
    return withdraw_from_corpora(filled.workspace, CONFIGURED, "run-9", 1, lambda *_: None)


@pytest.mark.parametrize("fixture", ["built", "built_parquet"])
def test_only_touched_shards_change(request: pytest.FixtureRequest, fixture: str) -> None:
    filled = request.getfixturevalue(fixture)
    before = hashes(filled)
    spans = filled.ask("SELECT shard, first, last FROM shards ORDER BY shard")
    ((item,),) = filled.ask("SELECT item_id FROM manifest WHERE position = 8")
    touched = {
        shard
        for shard, first, last in spans
        for (position,) in filled.ask("SELECT position FROM manifest WHERE item_id = ?", item)
        if first <= position < last
    }
    filled.change(f"{TAKEDOWN} item_id = ?", item)
    assert "withdrawn_in_corpus" in firing(filled)
    ((gone, result),) = withdraw(filled)
    assert sum(gone.samples.values()) == len(filled.ask("SELECT 1 FROM range(41)")) - result.samples
    assert {shard.number for shard in result.shards if shard.rewritten} == touched
    after = hashes(filled)
    assert {shard for shard in before if before[shard] != after[shard]} == touched
    assert filled.ask("SELECT shard, first, last FROM shards ORDER BY shard") == spans
    assert firing(filled) == set()
    assert withdraw(filled) == []


@pytest.mark.short(1)
@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_one_of_twenty_sources_in_fifty_shards(make_filled: MakeFilled, format: str) -> None:
    filled = make_filled()
    for number in range(20):
        filled.declare(f"source-{number:02d}")
        rows = [{"category": f"c{number % 4}"}] * (10 if number == 7 else 30)
        filled.store(f"source-{number:02d}", rows, first_image=40 * number)
    samples = filled.draw()
    ((size,),) = filled.ask("SELECT sum(bytes) + 3000 * count(*) FROM items")
    options = CorpusOptions.model_validate({"format": format, "shard_size": int(size) // 60})
    built = build_corpus(filled.workspace, "small", options, "run-3", 2, lambda *_: None)
    assert len(built.shards) >= 50 and firing(filled) == set()
    before = hashes(filled)
    touched = {
        shard
        for (shard,) in filled.ask(
            "SELECT DISTINCT s.shard FROM manifest m JOIN shards s ON m.position >= s.first"
            " AND m.position < s.last WHERE m.source = 'source-07'"
        )
    }
    assert 0 < len(touched) <= 10
    filled.change(f"{TAKEDOWN} source = 'source-07'")
    ((gone, result),) = withdraw(filled)
    assert gone.samples == {"source-07": 10} and result.samples == samples - 10
    assert {shard.number for shard in result.shards if shard.rewritten} == touched
    after = hashes(filled)
    assert {shard for shard in before if before[shard] != after[shard]} == touched
    assert firing(filled) == set()


def test_source_taken_down(built: FilledWorkspace) -> None:
    filled = built
    filled.change(f"{TAKEDOWN} source = 'chats'")
    filled.change("UPDATE sources SET withdrawn_at = now() WHERE source = 'chats'")
    with read_catalog(filled.workspace) as connection:
        (found,) = find_withdrawn(connection)
    assert (found.name, found.samples) == ("small", {"chats": 20})
    withdraw(filled)
    assert firing(filled) == set()
    assert filled.ask("SELECT selected FROM manifests") == [(21,)]
    assert filled.ask("SELECT allocated, why FROM allocations WHERE node = '' AND source = ''") == [
        (21, "all there is; 20 withdrawn")
    ]
    text = (filled.workspace.corpora / "small" / "README.md").read_text()
    assert "20 were withdrawn since it was drawn" in text
    assert "chats" not in text


@pytest.mark.parametrize("fixture", ["built", "built_parquet"])
def test_everything_taken_down(request: pytest.FixtureRequest, fixture: str) -> None:
    filled = request.getfixturevalue(fixture)
    shards = len(hashes(filled))
    filled.change(f"{TAKEDOWN} TRUE")
    filled.change("UPDATE sources SET withdrawn_at = now()")
    ((_, result),) = withdraw(filled)
    assert (result.samples, len(result.shards)) == (0, shards)
    assert firing(filled) == set()


def test_build_after_withdrawal_keeps_the_numbering(built: FilledWorkspace) -> None:
    built.change(f"{TAKEDOWN} item_id = (SELECT item_id FROM manifest WHERE position = 0)")
    withdraw(built)
    before = hashes(built)
    options = CorpusOptions.model_validate({"format": "webdataset", "shard_size": "20KB"})
    result = build_corpus(built.workspace, "small", options, "run-10", 1, lambda *_: None)
    assert result.rewritten == 0
    assert hashes(built) == before


def test_cut_short_after_the_catalog_and_done_again(built: FilledWorkspace) -> None:
    built.change(f"{TAKEDOWN} source = 'chats'")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        withdraw_from_corpora(built.workspace, CONFIGURED, "run-9", 1, fail)
    ((_, result),) = withdraw(built)
    assert result.samples == 21
    built.change("UPDATE sources SET withdrawn_at = now() WHERE source = 'chats'")
    assert firing(built) == set()


def test_sample_that_was_not_built(filled: FilledWorkspace) -> None:
    filled.change(f"{TAKEDOWN} source = 'chats'")
    ((gone, result),) = withdraw(filled)
    assert (gone.samples, result) == ({"chats": 20}, None)
    assert filled.ask("SELECT count(*) FROM manifest") == [(21,)]


def test_build_that_was_cut_short(make_filled: MakeFilled) -> None:
    """Nothing is recorded of its shards, but they hold what is withdrawn."""
    filled = make_filled()
    filled.declare("one")
    filled.store("one", [{"category": "c"}] * 30)
    filled.draw()
    ((size,),) = filled.ask("SELECT sum(bytes) + 3000 * count(*) FROM items")
    options = CorpusOptions.model_validate({"format": "webdataset", "shard_size": int(size) // 10})
    written = []

    def interrupted(*_: object) -> None:
        written.append(1)
        if len(written) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_corpus(filled.workspace, "small", options, "run-3", 1, interrupted)
    folder = filled.workspace.corpora / "small"
    assert filled.ask("SELECT * FROM shards") == [] and len(list(folder.iterdir())) >= 3
    assert withdraw(filled) == [] and len(list(folder.iterdir())) >= 3, "nothing is withdrawn yet"
    filled.change(f"{TAKEDOWN} item_id = (SELECT item_id FROM manifest WHERE position = 0)")
    assert "withdrawn_in_corpus" in firing(filled)
    withdraw(filled)
    assert list(folder.iterdir()) == []
    assert list(folder.parent.iterdir()) == [folder], "nor is anything left beside it"
    build_corpus(filled.workspace, "small", options, "run-4", 1, lambda *_: None)
    assert firing(filled) == set()


def test_build_that_was_cut_short_before_it_was_recorded(built: FilledWorkspace) -> None:
    built.change("DELETE FROM shards")
    built.change(f"{TAKEDOWN} item_id = (SELECT item_id FROM manifest WHERE position = 0)")
    ((_, result),) = withdraw(built)
    ((left,),) = built.ask("SELECT count(*) FROM manifest")
    assert result.samples == left < 41
    assert built.ask("SELECT sum(samples) FROM shards") == [(left,)]
    assert firing(built) == set()


def test_corpus_that_somebody_deleted(built: FilledWorkspace) -> None:
    shutil.rmtree(built.workspace.corpora / "small")
    built.change(f"{TAKEDOWN} source = 'chats'")
    ((gone, result),) = withdraw(built)
    assert (gone.samples, result) == ({"chats": 20}, None)


@pytest.mark.short(3)
@pytest.mark.parametrize("fixture", ["built", "built_parquet"])
@pytest.mark.parametrize("content", [None, b"", b'{"build": 3}', b"\xff{"])
def test_unreadable_statistics_keep_no_image_in_its_shard(
    request: pytest.FixtureRequest, fixture: str, content: bytes | None
) -> None:
    filled = request.getfixturevalue(fixture)
    stats = filled.workspace.corpora / "small" / "stats.json"
    stats.unlink()
    if content is not None:
        stats.write_bytes(content)
    suffix = {shard.suffix for shard in stats.parent.glob("small-*")}
    filled.change(f"{TAKEDOWN} item_id = (SELECT item_id FROM manifest WHERE position = 8)")
    ((gone, result),) = withdraw(filled)
    assert (sum(gone.samples.values()), gone.redrawn) == (41 - result.samples, False)
    assert {shard.suffix for shard in stats.parent.glob("small-*")} == suffix
    assert firing(filled) == set()
    assert withdraw(filled) == []
