"""Fixtures for the scrape adapter: replicas, a workspace, and a crawl in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from derlem.adapters.base import Context
from derlem.adapters.http.fetch_options import FetchOptions
from derlem.adapters.scrape.adapter import ScrapeAdapter, ScrapeOptions
from derlem.catalog.models import Item
from derlem.core.workspace import Workspace

FETCH = {
    "allow_private": ["127.0.0.1"],
    "backoff": 0.05,
    "per_host": {"requests_per_second": 1000, "concurrency": 4},
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


@pytest.fixture
def adapter(workspace: Workspace) -> ScrapeAdapter:
    return ScrapeAdapter(Context(workspace, FetchOptions.model_validate(FETCH)))


@pytest.fixture
def served() -> Iterator[Callable[[Any], Any]]:
    """`served(replica)`: the replica, running until the test ends."""
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture(scope="session")
def fetch() -> dict[str, Any]:
    """The `fetch` section of these tests."""
    return FETCH


@pytest.fixture(scope="session")
def source() -> Callable[..., ScrapeOptions]:
    """`source(spider, start, **options)`: a declared source."""

    def declare(spider: str, start: str, **options: Any) -> ScrapeOptions:
        own = {"name": "archive", "adapter": "scrape", "license": "CC0-1.0", "spider": spider, "start": start}
        return ScrapeOptions.model_validate(own | options)

    return declare


@pytest.fixture
def crawl(adapter: ScrapeAdapter, source: Callable[..., ScrapeOptions]) -> Callable[..., list[Item]]:
    """`crawl(spider, start, **options)`: all items of one crawl."""

    def run(spider: str, start: str, **options: Any) -> list[Item]:
        return [item for batch in adapter.discover(source(spider, start, **options)) for item in batch]

    return run
