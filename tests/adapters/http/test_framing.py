"""Responses with unusual framing are read like in curl."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from derlem.catalog.models import Failure, Payload
from derlem.catalog.status import Reason

BODY = b"\xff\xd8\xff" + bytes(range(256)) * 300
KEEP = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n"
CLOSE = KEEP + b"Connection: close\r\n"
LENGTH = b"Content-Length: %d\r\n"
SIZE = LENGTH % len(BODY)


@pytest.fixture
def answering() -> Iterator[Callable[..., str]]:
    """`answering(pieces, ...)`: a URL of a server that sends these bytes, the next ones for each request."""
    servers: list[socket.socket] = []

    def start(*answers: list[bytes], robots: bytes = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n") -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)
        threading.Thread(target=serve, args=(server, list(answers), robots), daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/a.jpg"

    yield start
    for server in servers:
        server.close()


def serve(server: socket.socket, answers: list[list[bytes]], robots: bytes) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(connection, answers, robots), daemon=True).start()


def answer(connection: socket.socket, answers: list[list[bytes]], robots: bytes) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while request := connection.recv(65536):
            if b"/a.jpg" not in request.partition(b"\r\n")[0]:
                connection.sendall(robots)
                continue
            for piece in answers.pop(0) if len(answers) > 1 else answers[0]:
                connection.sendall(piece)
            if b"Connection: close" in b"".join(answers[0]):
                return


ANSWERS: dict[str, list[bytes]] = {
    "junk behind, closed": [CLOSE + SIZE + b"\r\n" + BODY + b"\r\n<!-- cached -->"],
    "junk behind, kept": [KEEP + SIZE + b"\r\n" + BODY + b"\r\n<!-- cached -->"],
    "junk in a piece of its own": [KEEP + SIZE + b"\r\n" + BODY, b"junk"],
    "a length twice": [CLOSE + SIZE + SIZE + b"\r\n" + BODY],
    "a list of equal lengths": [CLOSE + b"Content-Length: %d, %d\r\n\r\n" % (len(BODY), len(BODY)) + BODY],
    "a header of 9 KiB": [CLOSE + b"X: " + b"x" * 9000 + b"\r\n\r\n" + BODY],
    "a header of 40 KiB": [CLOSE + b"X: " + b"x" * 40_000 + b"\r\n\r\n" + BODY],
    "130 headers": [CLOSE + b"".join(b"X-%d: v\r\n" % number for number in range(130)) + b"\r\n" + BODY],
    "a head byte by byte": [bytes([byte]) for byte in CLOSE + SIZE + b"\r\n"] + [BODY],
    "an early hint first": [b"HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n" + CLOSE + SIZE + b"\r\n" + BODY],
    "no length": [CLOSE + b"\r\n" + BODY],
    "chunks": [CLOSE + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"],
    "codings in a list": [CLOSE + b"Content-Encoding: identity, gzip\r\n\r\n" + gzip.compress(BODY)],
    "two codings": [
        CLOSE + b"Content-Encoding: deflate, gzip\r\n\r\n" + gzip.compress(zlib.compress(BODY)),
    ],
    "an unasked 206 of all": [
        CLOSE.replace(b"200 OK", b"206 Partial")
        + b"Content-Range: bytes 0-%d/%d\r\n" % (len(BODY) - 1, len(BODY))
        + SIZE
        + b"\r\n"
        + BODY
    ],
}


@pytest.mark.parametrize("name", ANSWERS)
def test_bodies_with_unusual_framing_are_read(name: str, answering: Callable[..., str], fetch: Any) -> None:
    url = answering(ANSWERS[name])
    result = fetch(url, retries=0)[url]
    assert isinstance(result, Payload), result
    assert result.data == BODY


def test_long_headers_of_a_robots_txt(answering: Callable[..., str], fetch: Any) -> None:
    rules = b"User-agent: *\nDisallow: /\n"
    head = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n" + LENGTH % len(rules)
    url = answering([CLOSE + SIZE + b"\r\n" + BODY], robots=head + b"\r\n" + rules)
    assert fetch(url, retries=0)[url].reason is Reason.ROBOTS


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"Content-Length: 10, 11\r\n\r\n" + BODY, Reason.PROTOCOL),
        (b"Content-Length: 10\r\nContent-Length: 11\r\n\r\n" + BODY, Reason.PROTOCOL),
        (LENGTH % (len(BODY) + 1) + b"\r\n" + BODY, Reason.BODY_TRUNCATED),
        (b"X: " + b"x" * 2**19 + b"\r\n\r\n" + BODY, Reason.PROTOCOL),
    ],
)
def test_invalid_framing_is_an_error(
    answer: bytes, reason: Reason, answering: Callable[..., str], fetch: Any
) -> None:
    url = answering([CLOSE + answer])
    result = fetch(url, retries=0)[url]
    assert isinstance(result, Failure) and result.reason is reason


def test_a_connection_with_trailing_data_is_not_reused(answering: Callable[..., str], fetch: Any) -> None:
    url = answering([KEEP + SIZE + b"\r\n" + BODY + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"])
    urls = [f"{url}?{number}" for number in range(5)]
    results = fetch(*urls, per_host={"concurrency": 1}, retries=0)
    assert {result.data for result in results.values()} == {BODY}


def test_an_error_without_a_length_ends_at_once(answering: Callable[..., str], fetch: Any) -> None:
    """The server keeps the connection open and sends no body."""
    url = answering([b"HTTP/1.1 404 Not Found\r\n\r\n"])
    result = fetch(url, retries=0, timeouts={"total": 30.0})[url]
    assert isinstance(result, Failure) and result.reason is Reason.HTTP_4XX
