"""A catalog that was cut short is unreadable wherever the cut is: never a traceback, never fewer rows."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from derlem.catalog.connection import read_catalog, write_catalog
from derlem.core.errors import CatalogUnreadable
from derlem.core.workspace import Workspace

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
