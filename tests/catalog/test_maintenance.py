"""A catalog of an earlier schema: told, brought up to date, and then like any other."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from derlem.catalog.connection import read_catalog, schema_steps, write_catalog
from derlem.catalog.maintenance import TABLES, WORKED_OUT, migrate
from derlem.catalog.queries import SCHEMA_VERSION, query
from derlem.core.errors import CatalogVersionError
from derlem.core.workspace import Workspace


def tables(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict(connection.execute("SELECT table_name, sql FROM duckdb_tables()").fetchall())


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_an_earlier_catalog_is_migrated(tmp_path: Path, version: int) -> None:
    workspace = Workspace(tmp_path)
    with duckdb.connect(str(workspace.catalog)) as connection:
        for number, step in schema_steps()[:version]:
            connection.execute(query(step))
            connection.execute("INSERT INTO catalog_schema VALUES (?)", [number])
        connection.execute(
            "INSERT INTO sources VALUES ('s', 0, 'files', 'X', NULL, '{}', '', TIMESTAMP '2026-01-01', NULL)"
        )
        if version < 3:
            connection.execute("CREATE VIEW manifest AS SELECT sample, item_id FROM seats")
            connection.execute(
                "INSERT INTO seats VALUES ('b', 0, 'i', 4, 0), ('a', 1, 'j', 3, 1), ('a', 0, 'i', 2, 0)"
            )
    with pytest.raises(CatalogVersionError, match="derlem catalog migrate"), read_catalog(workspace):
        pass
    assert migrate(workspace) == (version, SCHEMA_VERSION)
    assert migrate(workspace) == (SCHEMA_VERSION, SCHEMA_VERSION)
    with read_catalog(workspace) as connection:
        found = tables(connection)
        assert connection.execute("SELECT source FROM sources").fetchall() == [("s",)]
        if version < 3:
            held = connection.execute("FROM seats ORDER BY sample, position").fetchall()
            assert held == [("a", 0, "i", 2, 0), ("a", 1, "j", 3, 1), ("b", 0, "i", 4, 0)]
    with write_catalog(Workspace(tmp_path / "new")) as connection:
        assert found == tables(connection)
    assert set(found) == {*TABLES, *WORKED_OUT, "catalog_schema"}
