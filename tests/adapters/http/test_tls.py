"""TLS connections: certificates are checked, and requests behave as without TLS."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from replica import Answer, Replica

from derlem.adapters.base import Context
from derlem.adapters.http.fetch_options import FetchOptions
from derlem.adapters.http.fetcher import Fetcher
from derlem.catalog.models import Failure, Item, Payload
from derlem.catalog.status import Reason
from derlem.core.workspace import Workspace


class Gallery(Replica):
    """One image under every name; under `/cut` half of it."""

    def __init__(self, image: bytes) -> None:
        self.image = image
        super().__init__()

    def answer(self, path: str, headers: Mapping[str, str]) -> Answer:
        if path.endswith(".json"):
            raise LookupError(path)
        cut = len(self.image) // 2 if path == "/cut" else None
        return Answer(self.image, "image/jpeg", cut=cut)

    def url(self, path: str) -> str:
        return f"{self.base}/{path}"


@pytest.fixture
def encrypted(self_signed: Path, misbehaving: ModuleType) -> Iterator[Gallery]:
    gallery = Gallery(misbehaving.jpeg())
    gallery.encrypt(self_signed)
    with gallery:
        yield gallery


def test_an_untrusted_certificate_is_rejected(encrypted: Gallery, fetch: Any) -> None:
    url = encrypted.url("a")
    result = fetch(url, retries=0)[url]
    assert isinstance(result, Failure)
    assert result.reason is Reason.TLS
    assert "CERTIFICATE_VERIFY_FAILED: self-signed certificate" in result.detail
    assert encrypted.requests == []


def test_connections_are_reused_and_closed_ones_replaced(
    encrypted: Gallery, settings: dict[str, Any], workspace: Workspace, misbehaving: ModuleType
) -> None:
    fetcher = Fetcher(
        Context(
            workspace, FetchOptions.model_validate(settings | {"retries": 0, "per_host": {"concurrency": 1}})
        ),
        verify_certificates=False,
    )
    paths = {Item("web", encrypted.url(path)).item_id: path for path in ("a", "b", "cut", "c")}
    results = {
        paths[item_id]: result
        for item_id, result in fetcher.fetch(Item("web", encrypted.url(path)) for path in paths.values())
    }
    for path in "abc":
        assert isinstance(result := results[path], Payload)
        assert result.data == misbehaving.jpeg()
    assert isinstance(cut := results["cut"], Failure)
    assert cut.reason is Reason.BODY_TRUNCATED
    assert len({request.client for request in encrypted.requests}) == 2  # before the cut, and after it


FETCH = """
import sys
from pathlib import Path
from derlem.adapters.base import Context
from derlem.adapters.http.fetch_options import FetchOptions
from derlem.adapters.http.fetcher import Fetcher
from derlem.catalog.models import Item
from derlem.core.workspace import Workspace
options = FetchOptions.model_validate({"allow_private": ["127.0.0.1"], "retries": 0})
fetcher = Fetcher(Context(Workspace(Path(sys.argv[1])), options))
[(_, result)] = fetcher.fetch([Item("web", sys.argv[2])])
print(len(result.data) if hasattr(result, "data") else result)
"""


def test_a_custom_certificate_authority(
    encrypted: Gallery, self_signed: Path, tmp_path: Path, misbehaving: ModuleType
) -> None:
    """Behind a proxy that opens connections, people set SSL_CERT_FILE."""
    printed = subprocess.run(
        [sys.executable, "-c", FETCH, tmp_path / "work", encrypted.url("a")],
        env={**os.environ, "SSL_CERT_FILE": str(self_signed)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed == f"{len(misbehaving.jpeg())}\n"
