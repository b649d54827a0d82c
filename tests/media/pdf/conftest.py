"""A workspace, and the two steps that turn a document into images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from derlem.catalog.models import Failure, Item
from derlem.core.workspace import Workspace
from derlem.media.pdf import PdfOptions, expand, read_pages
from derlem.storage.cache import keep
from tests.factories.pdf import Read, ReadPdf


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


@pytest.fixture
def read(workspace: Workspace) -> ReadPdf:
    """`read(pdf, dpi=..., ...)`: expand a document and read all its pages."""

    def run(pdf: bytes, **settings: Any) -> Read:
        options = PdfOptions(**settings)
        path = workspace.cached(keep(workspace, pdf))
        items = expand(path.read_bytes(), Item("news", "a.pdf"), options).pages
        found = dict(read_pages(workspace, options, [item for item in items if item.reason is None]))
        missing = [Failure(item.reason) if item.reason else found[item.item_id] for item in items]
        return Read(items, missing)

    return run
