"""A query that needs more memory than DuckDB may use is an error that names the key, and loses nothing."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from derlem import CatalogMemory, Project
from derlem.core.workspace import Workspace

ITEMS = "SELECT item_id, ordinal, status, reason, caption FROM items ORDER BY item_id"


def project(base: Path, workspace: str, memory: str | None = None) -> Project:
    """A project of a list of URLs, which are rejected without a request."""
    if not (base / "list.parquet").exists():
        names = [f"ftp://example.org/{number}.jpg" for number in range(4000)]
        pq.write_table(
            pa.table({"url": names, "caption": [name * 40 for name in names]}), base / "list.parquet"
        )
    columns = {"url": "url", "caption": "caption"}
    source = {
        "name": "list",
        "adapter": "urls",
        "path": "list.parquet",
        "license": "CC0-1.0",
        "columns": columns,
    }
    catalog = {"memory_limit": memory} if memory else {}
    return Project({"workspace": workspace, "sources": [source], "catalog": catalog}, base=base)


def test_a_commit_beyond_the_limit_loses_nothing(tmp_path: Path) -> None:
    bounded = project(tmp_path, "work", "8MiB")
    with pytest.raises(CatalogMemory, match=r"`catalog.memory_limit` \(8 MiB\)"):
        bounded.run()
    assert list(bounded.workspace.store.glob("list/*.parquet"))
    raised = project(tmp_path, "work")
    raised.run()
    undisturbed = project(tmp_path, "other")
    undisturbed.run()
    found = raised.rows(ITEMS)[1]
    assert len(found) == 4000
    assert found == undisturbed.rows(ITEMS)[1]
    with pytest.raises(CatalogMemory):
        bounded.catalog.rebuild()
    assert raised.rows(ITEMS)[1] == found
    with pytest.raises(CatalogMemory) as caught:
        bounded.rows("SELECT list(number) FROM range(1000000) AS numbers(number)")
    assert caught.value.limit == 8 * 2**20
    assert caught.value.temporary == Workspace(tmp_path / "work").temporary
