"""Encrypted connections: certificates are checked, and a request over them is like any other."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from derlem.adapters.base import Context
from derlem.adapters.fetch.fetcher import Fetcher
from derlem.catalog.models import Failure, Item, Payload
from derlem.catalog.status import Reason
from derlem.catalog.workspace import Workspace


class Encrypted:
    """A server of one picture, which notes who connected and what was asked for."""

    def __init__(self, certificate: Path, picture: bytes) -> None:
        self.connections: set[Any] = set()
        self.paths: list[str] = []
        noted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                noted.connections.add(self.client_address)
                noted.paths.append(self.path)
                if self.path.endswith((".txt", ".json")):
                    self.send_response(404)
                    body = b""
                else:
                    self.send_response(200)
                    body = picture
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if self.path == "/cut" else body)
                self.close_connection = self.path == "/cut"

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}/{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def encrypted(self_signed: Path, misbehaving: ModuleType) -> Iterator[Encrypted]:
    server = Encrypted(self_signed, misbehaving.jpeg())
    yield server
    server.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(encrypted: Encrypted, fetch: Any) -> None:
    url = encrypted.url("a")
    result = fetch(url, retries=0)[url]
    assert isinstance(result, Failure)
    assert result.reason is Reason.TLS
    assert "CERTIFICATE_VERIFY_FAILED: self-signed certificate" in result.detail
    assert encrypted.paths == []


def test_connections_are_kept_and_cut_ones_noticed(
    encrypted: Encrypted, settings: dict[str, Any], workspace: Workspace, misbehaving: ModuleType
) -> None:
    fetcher = Fetcher(
        Context(workspace, {"fetch": settings | {"retries": 0, "per_host": {"concurrency": 1}}}),
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
    assert len(encrypted.connections) == 2  # before the cut, and after it


FETCH = """
import sys
from pathlib import Path
from derlem.adapters.base import Context
from derlem.adapters.fetch.fetcher import Fetcher
from derlem.catalog.models import Item
from derlem.catalog.workspace import Workspace
settings = {"fetch": {"allow_private": ["127.0.0.1"], "retries": 0}}
fetcher = Fetcher(Context(Workspace(Path(sys.argv[1])), settings))
[(_, result)] = fetcher.fetch([Item("web", sys.argv[2])])
print(len(result.data) if hasattr(result, "data") else result)
"""


def test_an_authority_of_ones_own_can_be_named(
    encrypted: Encrypted, self_signed: Path, tmp_path: Path, misbehaving: ModuleType
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
