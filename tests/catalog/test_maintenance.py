"""A catalog of an earlier schema version: opening fails with the command, migration brings it up to date."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from derlem.catalog.connection import create_tables, read_catalog, schema_steps, write_catalog
from derlem.catalog.maintenance import DERIVED, TABLES, migrate
from derlem.catalog.queries import SCHEMA_VERSION, names, query
from derlem.core.errors import CatalogVersionError
from derlem.core.workspace import Workspace

STEP = "ALTER TABLE sources ADD COLUMN contact VARCHAR; UPDATE sources SET contact = 'nobody'"
"""A second schema step. The package has one so far."""


def tables(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict(connection.execute("SELECT table_name, sql FROM duckdb_tables()").fetchall())


@pytest.fixture
def second_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of the package whose schema has one more step."""
    steps = [*schema_steps(), (SCHEMA_VERSION + 1, "step")]
    for module in ("derlem.catalog.connection", "derlem.catalog.maintenance"):
        monkeypatch.setattr(f"{module}.SCHEMA_VERSION", SCHEMA_VERSION + 1)
        monkeypatch.setattr(f"{module}.schema_steps", lambda: steps)
        monkeypatch.setattr(f"{module}.query", lambda name: STEP if name == "step" else query(name))


def test_schema_steps_are_numbered_without_gaps() -> None:
    assert [name[len("schema/") :][:3] for name in names("schema")] == [
        f"{number:03d}" for number in range(1, SCHEMA_VERSION + 1)
    ]


def test_tables_are_listed(tmp_path: Path) -> None:
    with write_catalog(Workspace(tmp_path)) as connection:
        assert set(tables(connection)) == {*TABLES, *DERIVED, "catalog_schema"}


def test_an_earlier_catalog_is_migrated(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    workspace = Workspace(tmp_path)
    with duckdb.connect(str(workspace.catalog)) as connection:
        create_tables(connection)
        connection.execute(
            "INSERT INTO sources VALUES ('s', 0, 'files', 'X', NULL, '{}', '', now(), NULL, NULL)"
        )
    request.getfixturevalue("second_step")
    with pytest.raises(CatalogVersionError, match="derlem catalog migrate"), read_catalog(workspace):
        pass
    assert migrate(workspace) == (SCHEMA_VERSION, SCHEMA_VERSION + 1)
    assert migrate(workspace) == (SCHEMA_VERSION + 1, SCHEMA_VERSION + 1)
    with read_catalog(workspace) as connection:
        found = tables(connection)
        assert connection.execute("SELECT source, contact FROM sources").fetchall() == [("s", "nobody")]
    with write_catalog(Workspace(tmp_path / "new")) as connection:
        assert found == tables(connection)


def test_a_newer_catalog_is_an_error(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with write_catalog(workspace) as connection:
        connection.execute("INSERT INTO catalog_schema VALUES (?)", [SCHEMA_VERSION + 1])
    for refused in (lambda: migrate(workspace), lambda: write_catalog(workspace).__enter__()):
        with pytest.raises(CatalogVersionError, match="newer derlem"):
            refused()


def test_a_failing_step_changes_nothing(
    tmp_path: Path, second_step: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path)
    with write_catalog(workspace) as connection:
        before = tables(connection)
        connection.execute("DELETE FROM catalog_schema WHERE version > ?", [SCHEMA_VERSION])
    monkeypatch.setattr(
        "derlem.catalog.maintenance.query", lambda name: "CREATE TABLE half (n INTEGER); SELECT error('no')"
    )
    with pytest.raises(duckdb.Error, match="no"):
        migrate(workspace)
    with duckdb.connect(str(workspace.catalog)) as connection:
        assert tables(connection) == before
