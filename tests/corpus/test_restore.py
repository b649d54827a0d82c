"""The catalog's tables of samples and corpora, from the corpora's folders alone."""

from __future__ import annotations

import json

import duckdb
import pytest

from derlem.catalog.connection import read_catalog
from derlem.corpus.errors import UnreadableCorpus
from derlem.corpus.restore import restore_corpora
from tests.factories.catalog import memory_catalog
from tests.factories.filled_workspace import FilledWorkspace

TABLES = ("manifests", "allocations", "exclusions", "manifest_rows", "manifest", "shards", "corpus_files")


def rows(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[object, ...]]]:
    return {table: connection.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in TABLES}


@pytest.mark.parametrize("fixture", ["built", "built_parquet"])
def test_restored_tables_are_equal(request: pytest.FixtureRequest, fixture: str) -> None:
    filled = request.getfixturevalue(fixture)
    with read_catalog(filled.workspace) as connection:
        before = rows(connection)
    fresh = memory_catalog()
    assert restore_corpora(fresh, filled.workspace) == ["small"]
    assert rows(fresh) == before
    assert all(before.values())


def test_nothing_to_restore(filled: FilledWorkspace) -> None:
    fresh = memory_catalog()
    assert restore_corpora(fresh, filled.workspace) == []


def test_unfinished_build_is_passed_over(built: FilledWorkspace) -> None:
    (built.workspace.corpora / "small" / "stats.json").unlink()
    fresh = memory_catalog()
    assert restore_corpora(fresh, built.workspace) == []


@pytest.mark.parametrize("name", ["stats.json", "manifest.parquet"])
def test_files_that_do_not_belong_together(built: FilledWorkspace, name: str) -> None:
    path = built.workspace.corpora / "small" / name
    path.write_bytes(b"{}")
    fresh = memory_catalog()
    with pytest.raises(UnreadableCorpus, match=name):
        restore_corpora(fresh, built.workspace)


def test_strata_without_numbers(built: FilledWorkspace) -> None:
    path = built.workspace.corpora / "small" / "stats.json"
    stats = json.loads(path.read_bytes())
    for row in stats["allocations"]:
        del row["stratum"]
    path.write_text(json.dumps(stats))
    fresh = memory_catalog()
    with pytest.raises(UnreadableCorpus, match="does not number"):
        restore_corpora(fresh, built.workspace)
