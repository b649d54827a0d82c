"""One small catalog for all tests of a module: to fill it again takes less time than to make it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.factories.small_catalog import SmallCatalog


@pytest.fixture(scope="module")
def small_catalog() -> Iterator[SmallCatalog]:
    catalog = SmallCatalog()
    yield catalog
    catalog.connection.close()
