"""A proxy in front of an S3 server that injects faults: tests choose the requests and what happens to them.

Every request is recorded, with the bytes of its bodies.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from aiohttp import web
from yarl import URL

Action = Literal["slow_down", "conflict", "cut", "cut_after", "truncate", "delay", "ignore_conditions"]
"""`slow_down`: 503; `conflict`: 409; `cut`: the connection ends before the server receives the request;
`cut_after`: the server carries out the request, and the connection ends before the answer; `truncate`: half
of the answer's body; `delay`: `seconds` before the request; `ignore_conditions`: as a server without
conditional writes."""

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "content-encoding"}
CONDITIONS = {"if-match", "if-none-match"}


@dataclass(frozen=True)
class Request:
    """A recorded request; `sent` and `received` count the bytes of the client's and the server's bodies."""

    method: str
    path: str
    query: str
    sent: int
    received: int
    status: int


@dataclass
class Fault:
    """What happens to the next `times` requests that match; with `chance`, to this share of them."""

    action: Action
    matches: Callable[[str, str], bool] = lambda method, path: True
    times: int = 1_000_000
    chance: float = 1.0
    seconds: float = 0.5


@dataclass
class Proxy:
    """The running proxy."""

    upstream: str
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    random: random.Random = field(default_factory=lambda: random.Random(7))

    @property
    def url(self) -> str:
        """The `endpoint_url` for clients."""
        return f"http://127.0.0.1:{self.port}"

    def inject(self, action: Action, method: str = "", path: str = "", **options: float) -> Fault:
        """Add a fault for requests of a method whose path contains a text."""
        fault = Fault(action, lambda m, p: m.startswith(method) and path in p)
        fault.times = int(options.get("times", fault.times))
        fault.chance = options.get("chance", fault.chance)
        fault.seconds = options.get("seconds", fault.seconds)
        self.faults.append(fault)
        return fault

    def chosen(self, method: str, path: str) -> Fault | None:
        """The fault of a request, if any, counted."""
        for fault in self.faults:
            if fault.times > 0 and fault.matches(method, path) and self.random.random() < fault.chance:
                fault.times -= 1
                return fault
        return None

    def sent(self) -> int:
        """Bytes that clients have sent."""
        return sum(request.sent for request in self.requests)


def _error(status: int, code: str) -> web.Response:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>"
    return web.Response(status=status, text=body, content_type="application/xml")


async def _forward(proxy: Proxy, session: aiohttp.ClientSession, request: web.Request) -> web.StreamResponse:
    fault = proxy.chosen(request.method, request.path)
    action = fault.action if fault else None
    body = await request.read()
    if action in ("slow_down", "conflict", "cut"):
        proxy.requests.append(Request(request.method, request.path, request.query_string, len(body), 0, 0))
        if action == "slow_down":
            return _error(503, "SlowDown")
        if action == "conflict":
            return _error(409, "ConditionalRequestConflict")
        raise _cut(request)
    if fault is not None and action == "delay":
        await asyncio.sleep(fault.seconds)
    headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
    if action == "ignore_conditions":
        headers = {name: value for name, value in headers.items() if name.lower() not in CONDITIONS}
    target = proxy.upstream + request.raw_path
    try:
        async with session.request(
            request.method, URL(target, encoded=True), headers=headers, data=body or None,
            skip_auto_headers=("Content-Type",), allow_redirects=False,
        ) as answer:  # fmt: skip
            data = await answer.read()
            status, found = answer.status, answer.headers
    except aiohttp.ClientError:
        raise _cut(request) from None  # the server is down: the client notices a lost connection
    proxy.requests.append(
        Request(request.method, request.path, request.query_string, len(body), len(data), status)
    )
    if action == "cut_after":
        raise _cut(request)
    kept = [(name, value) for name, value in found.items() if name.lower() not in HOP_BY_HOP]
    without_length = [pair for pair in kept if pair[0].lower() != "content-length"]
    if request.method == "HEAD":
        return web.Response(status=status, headers=kept)
    response = web.StreamResponse(status=status, headers=without_length)
    response.content_length = len(data)
    await response.prepare(request)
    await response.write(data[: len(data) // 2] if action == "truncate" else data)
    if action == "truncate":
        raise _cut(request)
    await response.write_eof()
    return response


def _cut(request: web.Request) -> BaseException:
    if request.transport is not None:
        request.transport.abort()
    return asyncio.CancelledError("injected")  # ends the handler without a traceback in the log


@contextmanager
def proxying(upstream: str) -> Iterator[Proxy]:
    """A proxy on a free port, stopped at the end."""
    proxy = Proxy(upstream)
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def serve() -> None:
        # a request body has the length that the client gave: no limit of aiohttp's own
        connector = aiohttp.TCPConnector(limit=0)
        session = aiohttp.ClientSession(connector=connector, auto_decompress=False)

        async def handle(request: web.Request) -> web.StreamResponse:
            return await _forward(proxy, session, request)

        app = web.Application(client_max_size=1 << 40)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=False, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        proxy.port = runner.addresses[0][1]
        ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
            await session.close()

    task = loop.create_task(serve())

    def work() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=work, name="s3-proxy", daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(30)
        loop.close()
