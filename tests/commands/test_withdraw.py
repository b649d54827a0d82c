"""`derlem withdraw` removes items from the catalog, the manifest and the shards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.factories.demo_sources import SAMPLE, demo_sources

MakeProject = Callable[..., Any]


def test_withdrawn_items_leave_catalog_manifest_and_shards(project: MakeProject, demo: Path) -> None:
    mine = project(demo_sources(demo), sample={**SAMPLE, "target": 60}, corpus={"shard_size": "200kB"})
    mine.derlem("run")
    before = {row["shard"]: row["sha256"] for row in mine.rows("FROM shards")}
    held = mine.rows(
        "SELECT item_id FROM manifest m JOIN items i USING (item_id) WHERE i.uri LIKE '%beverages%'"
    )
    assert held and len(before) > 3
    result = mine.derlem("--dry-run", "withdraw", "--where", "uri LIKE '%beverages%'")
    assert "would be withdrawn" in result.stderr and mine.rows("FROM items WHERE status = 'withdrawn'") == []
    mine.derlem("withdraw", "--where", "uri LIKE '%beverages%'")
    mine.derlem("audit")
    after = {row["shard"]: row["sha256"] for row in mine.rows("FROM shards")}
    assert set(after) == set(before) and after != before
    assert [shard for shard in after if after[shard] == before[shard]], "untouched shards stay"
    mine.derlem("withdraw", "--where", "nonsense(", code=2)
    mine.derlem("withdraw", code=2)
    assert mine.rows("SELECT count(*) AS n FROM manifest") == [{"n": 60 - len(held)}]


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_takedown_from_a_corpus_whose_sample_was_drawn_again(
    project: MakeProject, demo: Path, form: str
) -> None:
    """The corpus's shards contain an earlier draw that is no longer in a manifest."""
    mine = project(demo_sources(demo), sample={**SAMPLE, "target": 60}, corpus={"format": form})
    mine.derlem("run")
    name = SAMPLE["name"]
    earlier = {row["item_id"] for row in mine.rows(f"FROM manifest WHERE corpus = '{name}'")}
    mine.derlem("--set", f"sample.seed={SAMPLE['seed'] + 1}", "sample")
    drawn = {row["item_id"] for row in mine.rows(f"FROM manifest WHERE corpus = '{name}'")}
    gone = min(earlier - drawn)
    messages = mine.derlem("withdraw", "--key", gone).stderr
    assert "drawn again since it was built" in messages
    held = {row["item_id"] for row in mine.rows(f"FROM manifest WHERE corpus = '{name}'")}
    assert held == drawn
    mine.derlem("audit")
    assert "nothing is left to withdraw" in mine.derlem("withdraw", "--key", gone).stderr


def test_takedown_without_matching_items_is_an_error(project: MakeProject, demo: Path) -> None:
    mine = project(demo_sources(demo), sample={**SAMPLE, "target": 60})
    mine.derlem("run")
    for arguments in (["--key", "0" * 32], ["--source", "nobody"]):
        for dry in ([], ["--dry-run"]):
            assert "holds no such item" in mine.derlem(*dry, "withdraw", *arguments, code=2).stderr
    assert "nothing is left" in mine.derlem("withdraw", "--where", "uri = 'nowhere'").stderr
    item = mine.rows("FROM manifest LIMIT 1")[0]["item_id"]
    assert "1 items withdrawn" in mine.derlem("withdraw", "--key", f"{item}-r2").stderr
    mine.derlem("audit")
