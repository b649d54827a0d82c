"""Sends requests over aiohttp's connections and parser, without its session.

A session's additional features (redirects, cookies, passwords, retries, and their objects) are not needed
and take more than half of a request's time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, cast
from weakref import WeakSet

from aiohttp import (
    ClientOSError,
    ClientRequest,
    ClientTimeout,
    ServerDisconnectedError,
    StreamReader,
    TCPConnector,
)
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from multidict import CIMultiDictProxy
from yarl import URL

from .addresses import Addresses, Resolver
from .failures import DroppedError
from .framing import FramedHandler
from .urls import Target

KEEP_ALIVE = 15.0
"""Seconds that an idle connection is kept; servers close idle connections after 5 to 75."""

DNS_LIFE = 300
"""Seconds that the addresses of a name are cached."""

READ_AHEAD = 2**18
"""Maximum buffered bytes of a body before reading pauses."""

ORIGINS = 4096
"""Maximum origins with cached routes."""

_LENGTH = re.compile(r"[0-9]{1,19}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(slots=True)
class Response:
    """The head of a response with an unread body. Release or close the response."""

    status: int
    headers: CIMultiDictProxy[str]
    content: StreamReader
    length: int | None
    """The announced length of the body in bytes, as transferred."""

    _connection: Connection

    @property
    def framed(self) -> bool:
        """Whether the end of the body is known, by its length or its last chunk."""
        return self.length is not None or "Transfer-Encoding" in self.headers

    def release(self) -> None:
        """Return the connection to the pool if the body has been read completely."""
        self._connection.release()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@dataclass(frozen=True, slots=True)
class _Route:
    """The connector's key of an origin, and the headers of all its requests."""

    request: ClientRequest
    headers: str


class Connections:
    """Sends requests over pooled connections, without retries."""

    def __init__(
        self, addresses: Addresses, *, headers: Mapping[str, str], connect: float, verify: bool
    ) -> None:
        """Call inside a running loop. `headers` are sent with every request, `connect` is in seconds."""
        self._standing = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._timeout = ClientTimeout(total=None, connect=connect)
        self._resolver = Resolver(addresses)
        self._served: WeakSet[ResponseHandler] = WeakSet()

        def connector(**keeping: Any) -> TCPConnector:
            made = TCPConnector(
                limit=0,  # the schedule limits connections
                ttl_dns_cache=DNS_LIFE,
                resolver=self._resolver,
                socket_factory=addresses.socket,
                ssl=verify,
                **keeping,
            )
            made._factory = cast(Any, partial(FramedHandler, loop=asyncio.get_running_loop()))
            return made

        self._route = lru_cache(maxsize=ORIGINS)(self._describe)
        self._kept = connector(keepalive_timeout=KEEP_ALIVE)
        self._single = connector(force_close=True)

    async def close(self) -> None:
        """Close all connections."""
        await self._kept.close()
        await self._single.close()
        await self._resolver.close()

    async def get(self, target: Target, headers: Mapping[str, str], *, single: bool = False) -> Response:
        """Request a target. Raises DroppedError and the exceptions of connecting and parsing.

        `single` opens a new connection for the request. A header with a value that cannot be sent is
        omitted.
        """
        route = self._route(target.origin)
        connection = await self._connect(route, single=single)
        try:
            protocol, transport = connection.protocol, connection.transport
            if protocol is None or transport is None or transport.is_closing():
                raise DroppedError("the connection ended before the request", reused=True)
            reused = protocol in self._served
            self._served.add(protocol)
            protocol.set_response_params(read_until_eof=True, auto_decompress=False, read_bufsize=READ_AHEAD)
            transport.write(_message(target.url, route, headers, single=single))
            try:
                message, content = await protocol.read()
                while 100 <= message.code < 200 and message.code != 101:  # an interim response
                    message, content = await protocol.read()
            except (ServerDisconnectedError, ClientOSError) as error:
                reason = str(error) or "the connection ended before the response"
                raise DroppedError(reason, reused=reused) from error
        except BaseException:
            connection.close()
            raise
        length = message.headers.get("Content-Length")
        announced = int(length) if length and _LENGTH.fullmatch(length) else None
        return Response(message.code, message.headers, content, announced, connection)

    async def _connect(self, route: _Route, *, single: bool) -> Connection:
        connector = self._single if single else self._kept
        while True:
            try:
                connection = await connector.connect(route.request, [], self._timeout)
            except TimeoutError as error:
                raise TimeoutError(f"no connection to {route.request.url}") from error
            protocol = connection.protocol
            if protocol is None or not protocol.should_close:
                return connection
            connection.close()  # the server sent bytes without a request

    def _describe(self, origin: str) -> _Route:
        url = URL(origin, encoded=True)
        return _Route(ClientRequest("GET", url), f"Host: {url.host_port_subcomponent}\r\n{self._standing}")


def _message(url: URL, route: _Route, headers: Mapping[str, str], *, single: bool) -> bytes:
    """Return a request as bytes. Headers whose values contain line breaks or NUL are omitted."""
    head = f"GET {url.raw_path_qs} HTTP/1.1\r\n{route.headers}"
    for name, value in headers.items():
        if not _CONTROL.search(value):
            head += f"{name}: {value}\r\n"
    if single:
        head += "Connection: close\r\n"
    return f"{head}\r\n".encode("utf-8", "surrogateescape")  # the decoding of responses
