"""For any bytes from a server, every URL ends in a status, with evidence that can be stored."""

from __future__ import annotations

import gzip
import json
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest

from derlem.catalog.models import Payload

STATUSES = (100, 101, 103, 199, 204, 206, 301, 304, 308, 400, 404, 408, 416, 421, 429, 500, 503, 999, 0, 20)
HEADERS = (
    b"Content-Type: image/jpeg",
    b'ETag: "abc"',
    b'ETag: W/"\xff\xfe"',
    b'ETag: "\xe7"',
    b"Last-Modified: yesterday\x80",
    b"Accept-Ranges: bytes",
    b"Content-Encoding: gzip",
    b"Content-Encoding: deflate",
    b"Content-Encoding: br",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Content-Length: 10",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: many",
    b"Content-Range: bytes 0-9/10",
    b"Retry-After: 0",
    b"Retry-After: \xff",
    b"Retry-After: Mon, 99 Foo 2026 00:00:00 GMT",
    b'RateLimit: "a";r=0;t=0',
    b"X-RateLimit-Remaining: 0",
    b"X-RateLimit-Reset: 0.5",
    b"Location: /x",
    b"Location: http://[::1",
    b"Location: //\xff\xfe/a",
    b"Location: javascript:1",
    b"X-Robots-Tag: noai",
    b"X-Robots-Tag: \xff:\xfe",
    b"TDM-Reservation: 1",
    b"TDM-Reservation: \xe9",
    b"TDM-Policy: \xe9",
    b"Content-Usage: train-ai=n",
    b"Content-Usage: \x80",
    b"Set-Cookie: a=b; =; ;;",
    b"Connection: close",
    b"Connection: upgrade",
    b"Upgrade: websocket",
    b": x",
    b"no colon",
    b" folded: x",
    b"X: " + b"a" * 9000,
)


def response(chance: random.Random, image: bytes) -> bytes:
    """Responses, nearly half of them valid."""
    status = 200 if chance.random() < 0.5 else chance.choice(STATUSES)
    headers = [chance.choice(HEADERS) for _ in range(chance.randrange(4))]
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(image), image)
    body = chance.choice((image, image, b"", image[:3], gzip.compress(image), chunked, b"zz\r\nabc"))
    if chance.random() < 0.6:
        headers.append(b"Content-Length: %d" % len(body))
    lines = [b"HTTP/1.%d %d X" % (chance.choice((1, 1, 1, 0)), status), *headers, b"", body]
    response = b"\r\n".join(lines)
    for _ in range(chance.choice((0, 0, 0, 0, 2))):
        place = chance.randrange(min(len(response), 200))
        response = response[:place] + bytes([chance.randrange(256)]) + response[place + chance.randrange(2) :]
    if chance.random() < 0.1:
        response = response[: chance.randrange(len(response))]
    return response * chance.choice((1,) * 9 + (2,))


@pytest.fixture
def babbling(misbehaving: ModuleType) -> Iterator[str]:
    """The root URL of a server that sends random bytes, equal for equal paths."""
    image = misbehaving.jpeg()
    listener = socket.create_server(("127.0.0.1", 0), backlog=200)

    def speak(connection: socket.socket) -> None:
        with connection, suppress(OSError), connection.makefile("rb") as heard:
            while line := heard.readline():
                path = line.split()[1]
                while heard.readline().strip():
                    pass
                if path.endswith((b".txt", b".json")):
                    connection.sendall(b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n")
                    continue
                chance = random.Random(path)
                connection.sendall(response(chance, image))
                if chance.random() < 0.5:
                    return

    def serve() -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=speak, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_every_url_ends_in_a_status(babbling: str, fetch: Any) -> None:
    urls = [f"{babbling}/{number}" for number in range(400)]
    options = {
        "retries": 1,
        "backoff": 0.01,
        "max_wait": 1.0,
        "respect": [],
        "breaker": {"failures": 10**6},
        "timeouts": {"connect": 2.0, "total": 1.0},
        "per_host": {"concurrency": 64, "requests_per_second": 1e5, "burst": 64},
    }
    for _ in range(2):  # the second time with the ledger of the first
        results = fetch(*urls, **options)
        sound = 0
        for result in results.values():
            json.dumps(result.meta, ensure_ascii=False).encode()
            if isinstance(result, Payload):
                sound += 1
            else:
                result.detail.encode()
        assert sound > 40
