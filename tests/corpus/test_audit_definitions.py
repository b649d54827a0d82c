"""Audits are SQL files: their headers, audits of the user, and definitions that are errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot

from derlem.catalog.audit import load_audits, run_audits
from derlem.catalog.connection import read_catalog
from derlem.core.errors import ConfigError, NoAudits, QueryError
from derlem.corpus.shard_scan import scan_shards
from derlem.pipeline.purge import purge_residue
from tests.factories.filled_workspace import FilledWorkspace


def test_all_audits_transpile_to_spark() -> None:
    for found in load_audits():
        (text,) = sqlglot.transpile(
            found.sql, read="duckdb", write="spark", unsupported_level=sqlglot.ErrorLevel.RAISE
        )
        sqlglot.parse_one(text, read="spark")


def test_deep_audits_need_the_images_to_be_read(built: FilledWorkspace) -> None:
    deep = {found.name for found in load_audits() if found.deep}
    with read_catalog(built.workspace) as connection:
        scan = scan_shards(built.workspace, purge_residue(built.workspace), 1)
        ran = {result.audit.name for result in run_audits(connection, load_audits(), scan)}
        assert ran == {found.name for found in load_audits()} - deep
        with pytest.raises(NoAudits):
            run_audits(connection, [found for found in load_audits() if found.deep], scan)
    assert deep == {"stored_image_differs"}


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
