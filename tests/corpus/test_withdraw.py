"""Takedown from a built corpus: the touched shards change, all others keep their bytes."""

from __future__ import annotations

import shutil

import pytest

from derlem.catalog.audit import load_audits, run_audits
from derlem.catalog.connection import read_catalog
from derlem.corpus.build import build_corpus
from derlem.corpus.corpus_options import CorpusOptions
from derlem.corpus.shard_scan import inventory
from derlem.corpus.withdraw import find_withdrawn, withdraw_from_corpora
from derlem.pipeline.purge import remains

TAKEDOWN = "UPDATE items SET status = 'withdrawn', reason = 'takedown' WHERE "


def hashes(pantry):
    return dict(pantry.ask("SELECT shard, sha256 FROM shards"))


def firing(pantry):
    found = inventory(pantry.workspace, remains(pantry.workspace), 1)
    with read_catalog(pantry.workspace) as connection:
        return {r.audit.name for r in run_audits(connection, load_audits(), found) if r.count}


def withdraw(pantry):
    return withdraw_from_corpora(pantry.workspace, "run-9", 1, lambda *_: None)


@pytest.mark.parametrize("fixture", ["built", "built_parquet"])
def test_only_touched_shards_change(request, fixture):
    pantry = request.getfixturevalue(fixture)
    before = hashes(pantry)
    spans = pantry.ask("SELECT shard, first, last FROM shards ORDER BY shard")
    ((item,),) = pantry.ask("SELECT item_id FROM manifest WHERE position = 8")
    touched = {
        shard
        for shard, first, last in spans
        for (position,) in pantry.ask("SELECT position FROM manifest WHERE item_id = ?", item)
        if first <= position < last
    }
    pantry.change(f"{TAKEDOWN} item_id = ?", item)
    assert "withdrawn_in_corpus" in firing(pantry)
    ((gone, result),) = withdraw(pantry)
    assert sum(gone.samples.values()) == len(pantry.ask("SELECT 1 FROM range(41)")) - result.samples
    assert {shard.number for shard in result.shards if shard.rewritten} == touched
    after = hashes(pantry)
    assert {shard for shard in before if before[shard] != after[shard]} == touched
    assert pantry.ask("SELECT shard, first, last FROM shards ORDER BY shard") == spans
    assert firing(pantry) == set()
    assert withdraw(pantry) == []


@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_one_of_twenty_sources_in_fifty_shards(make_pantry, format):
    pantry = make_pantry()
    for number in range(20):
        pantry.declare(f"source-{number:02d}")
        rows = [{"category": f"c{number % 4}"}] * (10 if number == 7 else 30)
        pantry.store(f"source-{number:02d}", rows, first_picture=40 * number)
    samples = pantry.draw()
    ((size,),) = pantry.ask("SELECT sum(bytes) + 3000 * count(*) FROM items")
    options = CorpusOptions.model_validate({"format": format, "shard_size": int(size) // 60})
    built = build_corpus(pantry.workspace, "small", options, "run-3", 2, lambda *_: None)
    assert len(built.shards) >= 50 and firing(pantry) == set()
    before = hashes(pantry)
    touched = {
        shard
        for (shard,) in pantry.ask(
            "SELECT DISTINCT s.shard FROM manifest m JOIN shards s ON m.position >= s.first"
            " AND m.position < s.last WHERE m.source = 'source-07'"
        )
    }
    assert 0 < len(touched) <= 10
    pantry.change(f"{TAKEDOWN} source = 'source-07'")
    ((gone, result),) = withdraw(pantry)
    assert gone.samples == {"source-07": 10} and result.samples == samples - 10
    assert {shard.number for shard in result.shards if shard.rewritten} == touched
    after = hashes(pantry)
    assert {shard for shard in before if before[shard] != after[shard]} == touched
    assert firing(pantry) == set()


def test_source_taken_down(built):
    pantry = built
    pantry.change(f"{TAKEDOWN} source = 'chats'")
    pantry.change("UPDATE sources SET withdrawn_at = now() WHERE source = 'chats'")
    with read_catalog(pantry.workspace) as connection:
        (found,) = find_withdrawn(connection)
    assert (found.name, found.samples) == ("small", {"chats": 20})
    withdraw(pantry)
    assert firing(pantry) == set()
    assert pantry.ask("SELECT selected FROM manifests") == [(21,)]
    assert pantry.ask("SELECT allocated, why FROM allocations WHERE node = '' AND source = ''") == [
        (21, "all there is; 20 withdrawn")
    ]
    text = (pantry.workspace.corpora / "small" / "README.md").read_text()
    assert "20 were withdrawn since it was drawn" in text
    assert "chats" not in text


@pytest.mark.parametrize("fixture", ["built", "built_parquet"])
def test_everything_taken_down(request, fixture):
    pantry = request.getfixturevalue(fixture)
    shards = len(hashes(pantry))
    pantry.change(f"{TAKEDOWN} TRUE")
    pantry.change("UPDATE sources SET withdrawn_at = now()")
    ((_, result),) = withdraw(pantry)
    assert (result.samples, len(result.shards)) == (0, shards)
    assert firing(pantry) == set()


def test_build_after_withdrawal_keeps_the_numbering(built):
    built.change(f"{TAKEDOWN} item_id = (SELECT item_id FROM manifest WHERE position = 0)")
    withdraw(built)
    before = hashes(built)
    options = CorpusOptions.model_validate({"format": "webdataset", "shard_size": "20KB"})
    result = build_corpus(built.workspace, "small", options, "run-10", 1, lambda *_: None)
    assert result.rewritten == 0
    assert hashes(built) == before


def test_cut_short_after_the_catalog_and_done_again(built, monkeypatch):
    built.change(f"{TAKEDOWN} source = 'chats'")
    with monkeypatch.context() as patch:

        def fail(*_):
            raise KeyboardInterrupt

        patch.setattr("derlem.corpus.withdraw.build_corpus", fail)
        with pytest.raises(KeyboardInterrupt):
            withdraw(built)
    ((_, result),) = withdraw(built)
    assert result.samples == 21
    built.change("UPDATE sources SET withdrawn_at = now() WHERE source = 'chats'")
    assert firing(built) == set()


def test_sample_that_was_not_built(pantry):
    pantry.change(f"{TAKEDOWN} source = 'chats'")
    ((gone, result),) = withdraw(pantry)
    assert (gone.samples, result) == ({"chats": 20}, None)
    assert pantry.ask("SELECT count(*) FROM manifest") == [(21,)]


def test_build_that_was_cut_short(make_pantry):
    """Nothing is recorded of its shards, but they hold what is withdrawn."""
    pantry = make_pantry()
    pantry.declare("one")
    pantry.store("one", [{"category": "c"}] * 30)
    pantry.draw()
    ((size,),) = pantry.ask("SELECT sum(bytes) + 3000 * count(*) FROM items")
    options = CorpusOptions.model_validate({"format": "webdataset", "shard_size": int(size) // 10})
    written = []

    def interrupted(*_):
        written.append(1)
        if len(written) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_corpus(pantry.workspace, "small", options, "run-3", 1, interrupted)
    folder = pantry.workspace.corpora / "small"
    assert pantry.ask("SELECT * FROM shards") == [] and len(list(folder.iterdir())) >= 3
    assert withdraw(pantry) == [] and len(list(folder.iterdir())) >= 3, "nothing is withdrawn yet"
    pantry.change(f"{TAKEDOWN} item_id = (SELECT item_id FROM manifest WHERE position = 0)")
    assert "withdrawn_in_corpus" in firing(pantry)
    withdraw(pantry)
    assert list(folder.iterdir()) == []
    assert list(folder.parent.iterdir()) == [folder], "nor is anything left beside it"
    build_corpus(pantry.workspace, "small", options, "run-4", 1, lambda *_: None)
    assert firing(pantry) == set()


def test_build_that_was_cut_short_before_it_was_recorded(built):
    built.change("DELETE FROM shards")
    built.change(f"{TAKEDOWN} item_id = (SELECT item_id FROM manifest WHERE position = 0)")
    ((_, result),) = withdraw(built)
    ((left,),) = built.ask("SELECT count(*) FROM manifest")
    assert result.samples == left < 41
    assert built.ask("SELECT sum(samples) FROM shards") == [(left,)]
    assert firing(built) == set()


def test_corpus_that_somebody_deleted(built):
    shutil.rmtree(built.workspace.corpora / "small")
    built.change(f"{TAKEDOWN} source = 'chats'")
    ((gone, result),) = withdraw(built)
    assert (gone.samples, result) == ({"chats": 20}, None)
