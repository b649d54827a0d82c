"""The notice of an interruption, from a double of EC2's metadata service (IMDSv2)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from derlem.storage.interruption import ADDRESS_VARIABLE, InterruptionWatch


class Service(ThreadingHTTPServer):
    """Answers 404 until there is a notice; refuses requests without a token it gave and has not forgotten."""

    daemon_threads = True
    notices: dict[str, str]
    tokens: set[str]
    asked: threading.Semaphore


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_PUT(self) -> None:
        token = f"token-{len(self.server.tokens)}"
        self.server.tokens.add(token)
        good = self.path == "/latest/api/token" and "X-aws-ec2-metadata-token-ttl-seconds" in self.headers
        self.answer(200 if good else 400, token)

    def do_GET(self) -> None:
        if self.headers.get("X-aws-ec2-metadata-token") not in self.server.tokens:
            self.answer(401, "")
            return
        text = self.server.notices.get(self.path.removeprefix("/latest/meta-data/"))
        self.answer(404 if text is None else 200, text or "")
        self.server.asked.release()

    def answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    server = Service(("127.0.0.1", 0), Handler)
    server.notices, server.tokens, server.asked = {}, set(), threading.Semaphore(0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv(ADDRESS_VARIABLE, f"http://127.0.0.1:{server.server_port}/")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["spot/instance-action", "events/recommendations/rebalance"])
def test_a_notice_acts_once(service: Service, path: str) -> None:
    acted = threading.Semaphore(0)
    watch = InterruptionWatch(acted.release, poll=0.01)
    for _ in range(4):
        assert service.asked.acquire(timeout=30)
    assert not acted.acquire(blocking=False), "no notice yet"
    service.tokens.clear()  # all have expired
    service.notices[path] = '{"action": "terminate"}'
    assert acted.acquire(timeout=30)
    watch._thread.join(30)
    assert not watch._thread.is_alive() and not acted.acquire(blocking=False)
    watch.close()


def test_without_the_service_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS_VARIABLE, "http://127.0.0.1:9")
    acted = threading.Semaphore(0)
    watch = InterruptionWatch(acted.release, poll=0.01)
    watch.close()
    watch._thread.join(30)
    assert not acted.acquire(blocking=False)
