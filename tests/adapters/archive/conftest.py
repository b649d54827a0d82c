"""Fixtures for archives: read a whole source at once, like the pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from derlem.adapters.archive.adapter import ArchiveAdapter, ArchiveOptions
from derlem.adapters.base import Context
from derlem.catalog.models import Item, Payload
from derlem.catalog.status import Reason
from derlem.core.workspace import Workspace
from tests.factories.archives import Entry


@dataclass
class Outcome:
    """The outcome of one item."""

    item: Item
    reason: Reason | None = None
    data: bytes = b""
    columns: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def caption(self) -> str | None:
        """The caption that the catalog would store."""
        found: str | None = self.columns.get("caption", self.item.caption)
        return found


@pytest.fixture
def declare() -> Callable[..., ArchiveOptions]:
    """`declare(path, **options)`: a declared archive source."""

    def source(path: Path | str, **more: object) -> ArchiveOptions:
        declared = {"name": "s", "adapter": "archive", "license": "CC0-1.0", "path": str(path), **more}
        return ArchiveOptions.model_validate(declared)

    return source


@pytest.fixture
def rows() -> Callable[[list[Item]], Iterator[Item]]:
    """`rows(items)`: items that are read, with their locator states as the catalog returns them."""

    def unsettled(items: list[Item]) -> Iterator[Item]:
        for item in items:
            if item.reason is None:
                item.locator_state = json.loads(json.dumps(item.locator_state))
                yield item

    return unsettled


@pytest.fixture
def ingest(
    tmp_path: Path,
    declare: Callable[..., ArchiveOptions],
    rows: Callable[[list[Item]], Iterator[Item]],
) -> Callable[..., dict[tuple[str, str], Outcome]]:
    """`ingest(path, **options)`: every item of an archive source and its outcome, by uri and locator."""

    def run(path: Path | str, **more: object) -> dict[tuple[str, str], Outcome]:
        adapter = ArchiveAdapter(Context(Workspace(tmp_path / "work")))
        source = declare(path, **more)
        items = [item for batch in adapter.discover(source) for item in batch]
        assert len({item.item_id for item in items}) == len(items)
        outcomes = {item.item_id: Outcome(item, item.reason, meta=item.meta) for item in items}
        for item_id, outcome in adapter.read(source, rows(items)):
            found = outcomes[item_id]
            assert not found.data
            assert found.reason is None
            if isinstance(outcome, Payload):
                found.data, found.columns = outcome.data, dict(outcome.updates)
                found.meta = {**found.meta, **outcome.meta}
            else:
                found.reason, found.meta = outcome.reason, {"detail": outcome.detail}
        return {(one.item.uri, one.item.locator): one for one in outcomes.values()}

    return run


@pytest.fixture(scope="session")
def images(clipart: Path) -> tuple[Path, list[Entry]]:
    """Sixty images with their texts, by path in a folder."""
    paths = [path for path in sorted(clipart.rglob("*")) if path.suffix in (".png", ".txt")][:120]
    return clipart, [(path.relative_to(clipart).as_posix(), path.read_bytes()) for path in paths]
