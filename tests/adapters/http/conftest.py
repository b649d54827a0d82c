"""Fixtures for the fetcher: a fetcher that may connect to a misbehaving server on loopback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from derlem.adapters.base import Context
from derlem.adapters.http.fetch_options import FetchOptions, SourceLimits
from derlem.adapters.http.fetcher import Fetcher
from derlem.catalog.models import Failure, Item, Payload
from derlem.core.workspace import Workspace

Fetch = Callable[..., dict[str, Payload | Failure]]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


@pytest.fixture
def settings() -> dict[str, Any]:
    """Limits without pauses, for test servers; tests override the limits under test."""
    return {
        "allow_private": ["127.0.0.0/8"],
        "per_host": {"concurrency": 8, "requests_per_second": 1000.0},
        "timeouts": {"connect": 2.0, "total": 1.5},
        "backoff": 0.05,
        "max_bytes": "2MB",
        "breaker": {"failures": 1000},
    }


@pytest.fixture
def fetch(workspace: Workspace, settings: dict[str, Any]) -> Fetch:
    """`fetch(*urls, option=value, limits=...)`: results by URL; each URL has exactly one."""

    def run(
        *urls: str,
        limits: dict[str, Any] | None = None,
        accept: tuple[str, ...] = ("image/",),
        **changes: Any,
    ) -> dict[str, Payload | Failure]:
        fetcher = Fetcher(
            Context(workspace, FetchOptions.model_validate(settings | changes)),
            SourceLimits.model_validate(limits or {}),
            accept=accept,
        )
        items = {Item("web", url).item_id: url for url in urls}
        results: dict[str, Payload | Failure] = {}
        for item_id, result in fetcher.fetch(Item("web", url) for url in urls):
            assert items[item_id] not in results, "finished twice"
            results[items[item_id]] = result
        assert results.keys() == set(urls)
        return results

    return run
