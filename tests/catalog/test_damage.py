"""A catalog that was cut short is unreadable wherever the cut is; a file without tables is no catalog yet."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from derlem.catalog.connection import read_catalog, schema_version, write_catalog
from derlem.catalog.queries import SCHEMA_VERSION
from derlem.core.errors import CatalogMissing, CatalogUnreadable, CatalogVersionError
from derlem.core.workspace import Workspace
from derlem.pipeline.stages import known_sources

FILL = "INSERT INTO withdrawn_hashes SELECT md5(range::VARCHAR) FROM range(100000)"
SUM = "SELECT count(*), count(DISTINCT sha256), min(sha256), max(sha256) FROM withdrawn_hashes"


def test_a_cut_catalog(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with write_catalog(workspace) as connection:
        connection.execute(FILL)
        connection.execute("CHECKPOINT")
        whole = connection.execute(SUM).fetchall()
    content = workspace.catalog.read_bytes()
    for size in range(len(content) - 4096, 0, -(128 * 1024)):
        workspace.catalog.write_bytes(content[:size])
        with suppress(CatalogUnreadable), read_catalog(workspace) as connection:
            assert connection.execute(SUM).fetchall() == whole


def test_a_file_without_tables_counts_as_no_catalog(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    duckdb.connect(str(workspace.catalog)).close()  # left by a run killed at its first write
    with pytest.raises(CatalogMissing), read_catalog(workspace):
        pass
    assert not known_sources(workspace)
    with write_catalog(workspace) as connection:
        assert schema_version(connection) == SCHEMA_VERSION


def test_a_database_of_something_else_is_not_filled(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with duckdb.connect(str(workspace.catalog)) as connection:
        connection.execute("CREATE TABLE notes (text VARCHAR)")
    with pytest.raises(CatalogVersionError), write_catalog(workspace):
        pass
