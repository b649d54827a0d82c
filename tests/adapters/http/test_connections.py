"""Connections return one response per request, even if the server sends further bytes."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from derlem.adapters.http.addresses import Addresses
from derlem.adapters.http.connections import Connections, Response
from derlem.adapters.http.failures import DroppedError
from derlem.adapters.http.urls import Target, read_url

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Asking = Callable[[Connections, Target], Awaitable[Any]]


def answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def heard(reader: asyncio.StreamReader) -> bytes:
    """The next request on a connection; empty at its end."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def talk(handler: Handler, asking: Asking) -> Any:
    """Run `asking` against a server that handles each connection with `handler`; return its result."""

    async def both() -> Any:
        tasks = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            await handler(reader, writer)
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        addresses = Addresses([ipaddress.ip_network("127.0.0.1")])
        connections = Connections(addresses, headers={"User-Agent": "test"}, connect=2.0, verify=True)
        try:
            return await asyncio.wait_for(asking(connections, read_url(f"http://127.0.0.1:{port}/a?b")), 10)
        finally:
            await connections.close()
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(both())


async def whole(response: Response) -> bytes:
    body = await response.content.read()
    response.release()
    return body


def test_an_unrequested_response_is_not_used_for_the_next_request() -> None:
    connected = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(writer)
        while await heard(reader):
            writer.write(answer(b"wanted %d" % len(connected)))
            await asyncio.sleep(0.05)
            writer.write(answer(b"not wanted"))

    async def asking(connections: Connections, target: Target) -> list[bytes]:
        bodies = []
        for _ in range(3):
            bodies.append(await whole(await connections.get(target, {})))
            await asyncio.sleep(0.2)
        return bodies

    assert talk(handle, asking) == [b"wanted 1", b"wanted 2", b"wanted 3"]


def test_connections_are_reused_unless_single() -> None:
    connected = []
    requests = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(writer)
        number = len(connected)
        while request := await heard(reader):
            requests.append(request)
            writer.write(answer(b"%d" % number))

    async def asking(connections: Connections, target: Target) -> list[bytes]:
        return [
            await whole(await connections.get(target, {}, single=single))
            for single in (False, False, True, False)
        ]

    assert talk(handle, asking) == [b"1", b"1", b"2", b"1"]
    assert [b"\r\nConnection: close\r\n" in request for request in requests] == [False, False, True, False]


@pytest.mark.parametrize("value", ['"a"\r\nX-Evil: 1', '"a"\nX: 1', '"a"\0'])
def test_a_header_value_cannot_inject_headers(value: str) -> None:
    requests = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await heard(reader))
        writer.write(answer(b""))

    async def asking(connections: Connections, target: Target) -> bytes:
        headers = {"If-None-Match": value, "If-Modified-Since": "b"}
        return await whole(await connections.get(target, headers))

    talk(handle, asking)
    (request,) = requests
    host = request.split(b"\r\n")[1]
    assert request == b"GET /a?b HTTP/1.1\r\n%b\r\nUser-Agent: test\r\nIf-Modified-Since: b\r\n\r\n" % host
    assert host.startswith(b"Host: 127.0.0.1:")


def test_a_validator_is_sent_unchanged() -> None:
    etags: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await heard(reader):
            etags.extend(line for line in request.split(b"\r\n") if line.startswith(b"If-None-Match"))
            writer.write(b'HTTP/1.1 200 OK\r\nETag: "\xe7\xff"\r\nContent-Length: 0\r\n\r\n')

    async def asking(connections: Connections, target: Target) -> None:
        response = await connections.get(target, {})
        await whole(response)
        await whole(await connections.get(target, {"If-None-Match": response.headers["ETag"]}))

    talk(handle, asking)
    assert etags == [b'If-None-Match: "\xe7\xff"']


def test_interim_responses_are_skipped() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        writer.write(answer(b"final"))

    async def asking(connections: Connections, target: Target) -> bytes:
        return await whole(await connections.get(target, {}))

    assert talk(handle, asking) == b"final"


@pytest.mark.parametrize("before", [0, 1])
def test_a_dropped_connection_reports_whether_it_was_reused(before: int) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(before):
            await heard(reader)
            writer.write(answer(b""))
        await heard(reader)

    async def asking(connections: Connections, target: Target) -> bool:
        for _ in range(before):
            await whole(await connections.get(target, {}))
        with pytest.raises(DroppedError) as caught:
            await connections.get(target, {})
        return caught.value.reused

    assert talk(handle, asking) is bool(before)
