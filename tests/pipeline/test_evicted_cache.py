"""Documents with pending pages are read again after the cache was emptied."""

from __future__ import annotations

import shutil
from pathlib import Path

import derlem
from derlem.catalog.connection import write_catalog
from derlem.catalog.counts import recount
from tests.factories.pdf import Page, write_pdf


def test_pages_are_read_after_the_cache_is_removed(tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    for name in ("a", "b"):
        content = f"{len(name)} 0 0 rg 9 9 {30 + ord(name)} 50 re f".encode()
        (tmp_path / "papers" / f"{name}.pdf").write_bytes(
            write_pdf([Page(content=content), Page(content=content)])
        )
    source = {"name": "papers", "adapter": "files", "path": "papers", "license": "CC0-1.0"}
    config = {"sources": [source], "pdf": {"renderer": "pdfium", "dpi": 36}, "ingest": {"workers": 1}}
    project = derlem.Project(config, base=tmp_path)
    project.run()
    images = "SELECT uri, locator, sha256 FROM items WHERE status = 'ready' ORDER BY ALL"
    _, expected = project.rows(images)
    assert len(expected) == 4
    with write_catalog(project.workspace) as connection:  # as after a kill between documents and pages
        connection.execute("UPDATE items SET status = 'discovered' WHERE document_sha256 IS NOT NULL")
        recount(connection)
    shutil.rmtree(project.workspace.cache)
    project.ingest()
    assert project.rows(images)[1] == expected
    counts = project.rows("SELECT status, count(*) FROM items GROUP BY ALL ORDER BY ALL")[1]
    assert counts == [("expanded", 2), ("ready", 4)]
