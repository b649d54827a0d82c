"""One request, one answer: the HTTP client, tuned and fenced in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from multidict import CIMultiDictProxy

from ...catalog.models import Failure
from ...catalog.status import Reason
from ..ledger import Known
from .addresses import Addresses, Resolver
from .body import BodyError, Partial, Turnstile, continues, read_body, resumable, resume_headers
from .failures import DroppedError
from .options import FetchOptions
from .optouts import OriginPolicy, Verdict
from .urls import Target

KEEP_ALIVE = 15.0
"""Seconds that an idle connection is kept; servers close them after 5 to 75."""

DNS_LIFE = 300
"""Seconds that a looked-up name is used for."""

SMALL = 16 * 1024
"""Bytes of an unwanted body that are read so that its connection can be used again."""


@dataclass(slots=True, eq=False)
class Job:
    """A URL on its way: what is wanted of it, and how far it is.

    `settle` is called once, with the answer or with what went wrong in the end. `guard` is called with
    the headers of an answer before its body is read, and raises BodyError for bodies that are not to be.
    `clip` has a body of more than `limit` bytes cut off there instead of refused. `address` is what was
    asked for in the first place, as it was spelled; `target` moves on with redirects.
    """

    target: Target
    settle: Callable[[Job, Answer | Failure], None]
    limit: int
    hops: int
    accept: tuple[str, ...] = ()
    clip: bool = False
    item_id: str = ""
    address: str = ""
    known: Known | None = None
    policy: OriginPolicy | None = None
    verdict: Verdict | None = None
    guard: Callable[[Job, CIMultiDictProxy[str]], None] | None = None
    tries: int = 0
    dropped: bool = False
    seen: frozenset[str] = frozenset()
    begun: Partial | None = None


@dataclass(slots=True)
class Answer:
    """A complete response; `body` is empty unless it is a success."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes = b""


class Client:
    """Sends requests. No cookies, no proxies, no redirects followed, nothing sent twice."""

    def __init__(self, options: FetchOptions, *, agent: str, timeout: float, verify: bool) -> None:
        """Make it inside a running loop. `timeout`: seconds of a whole request. `verify`: certificates."""
        self._timeout = timeout
        addresses = Addresses(options.allow_private)
        self._resolver = Resolver(addresses)
        self._large = Turnstile()

        def session(**keeping: Any) -> aiohttp.ClientSession:
            connector = aiohttp.TCPConnector(
                limit=0,  # the schedule limits
                ttl_dns_cache=DNS_LIFE,
                resolver=self._resolver,
                socket_factory=addresses.socket,
                ssl=verify,
                **keeping,
            )
            return aiohttp.ClientSession(
                connector=connector,
                connector_owner=True,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": agent, "Accept": "*/*", "Accept-Encoding": "identity, gzip;q=0.5"},
                timeout=aiohttp.ClientTimeout(total=None, connect=options.timeouts.connect),
                auto_decompress=False,
                trust_env=False,
                read_bufsize=2**18,
                middlewares=(_once,),
                request_class=_Request,
            )

        self._session = session(keepalive_timeout=KEEP_ALIVE)
        self._anew = session(force_close=True)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        await self._anew.close()
        await self._resolver.close()

    async def ask(self, job: Job) -> Answer:
        """Send the job's request. BodyError, and whatever the connection raises.

        A request under which a kept-alive connection ended gets a connection of its own the next time:
        every other one in the pool may have ended as well.
        """
        headers: dict[str, str] | None = None
        if job.begun is not None and job.begun.size:
            headers = resume_headers(job.begun)
        elif job.known is not None:
            headers = {}
            if job.known.etag:
                headers["If-None-Match"] = job.known.etag
            if job.known.last_modified:
                headers["If-Modified-Since"] = job.known.last_modified
        async with asyncio.timeout(self._timeout):
            session = self._anew if job.dropped else self._session
            response = await session.get(job.target.url, headers=headers, allow_redirects=False)
            whole = False
            try:
                answer = await self._read(job, response)
                whole = True
                return answer
            finally:
                if whole:
                    response.release()
                else:
                    response.close()

    async def _read(self, job: Job, response: ClientResponse) -> Answer:
        status, headers = response.status, response.headers
        if status in (200, 203, 206, 304) and job.guard is not None:
            job.guard(job, headers)
        if status in (200, 203):
            job.begun = resumable(response)
        elif status == 206 and job.begun is not None and continues(response, job.begun):
            pass
        else:
            if status in (206, 416):
                job.begun = None
                raise BodyError(Failure(Reason.BODY_TRUNCATED, f"HTTP status {status} instead of the rest"))
            if (response.content_length or 0) <= SMALL:
                await response.content.read(SMALL)
            if not response.content.at_eof():
                response.close()
            return Answer(status, headers)
        body = await read_body(response, job.limit, job.accept, job.begun, self._large, clip=job.clip)
        job.begun = None
        return Answer(status, headers, body)


class _Request(ClientRequest):
    """A request that knows whether it goes out on a connection that was kept alive."""

    reused = False

    async def send(self, conn: aiohttp.connector.Connection) -> ClientResponse:
        transport = conn.transport
        self.reused = transport is None or transport in _SERVED  # None: lost since it was taken from the pool
        if transport is not None:
            _SERVED.add(transport)
        return await super().send(conn)


_SERVED: WeakSet[asyncio.Transport] = WeakSet()


async def _once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Keep aiohttp from sending a request again by itself: what is sent is counted by the host's rate."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (
        aiohttp.ServerDisconnectedError,
        aiohttp.ClientOSError,
        aiohttp.ClientConnectionResetError,
    ) as error:
        message = str(error) or "the connection ended before the response"
        raise DroppedError(message, reused=isinstance(request, _Request) and request.reused) from error
