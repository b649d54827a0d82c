"""The HTTP client: sends the request of one job and returns its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from multidict import CIMultiDictProxy

from ...catalog.models import Failure
from ...catalog.status import Reason
from ..names import unescape
from .addresses import Addresses
from .body import (
    BodyError,
    MemorySemaphore,
    Partial,
    continues,
    is_whole,
    read_body,
    resumable,
    resume_headers,
)
from .connections import Connections, Response
from .fetch_options import FetchOptions
from .ledger import Known
from .optouts import OriginPolicy, Verdict
from .urls import Target

SMALL = 16 * 1024
"""Maximum bytes read of a rejected body in order to reuse its connection."""


@dataclass(slots=True, eq=False)
class Job:
    """A URL to fetch, with its limits and its progress.

    `resolve` is called once, with the answer or the final failure. `guard` is called with the headers of
    an answer before its body is read, and raises BodyError to reject the body. `clip` truncates a body of
    more than `limit` bytes instead of rejecting it. `address` is the original URL as written; `target`
    changes with redirects.
    """

    target: Target
    resolve: Callable[[Job, Answer | Failure], None]
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
    """A complete response; `body` is empty unless the request succeeded."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes = b""


class Client:
    """Sends requests, without cookies, proxies, redirects and retries."""

    def __init__(self, options: FetchOptions, *, agent: str, timeout: float, verify: bool) -> None:
        """Call inside a running loop. `timeout`: seconds of a whole request. `verify`: check certificates."""
        self._timeout = timeout
        self._large = MemorySemaphore()
        self._connections = Connections(
            Addresses(options.allow_private),
            headers={"User-Agent": agent, "Accept": "*/*", "Accept-Encoding": "identity, gzip;q=0.5"},
            connect=options.timeouts.connect,
            verify=verify,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    async def ask(self, job: Job) -> Answer:
        """Send the job's request. Raises BodyError and the exceptions of the connection.

        If a reused connection ended during a request, the next try uses a new connection, since all other
        connections in the pool may have ended, too.
        """
        headers: dict[str, str] = {}
        if job.begun is not None and job.begun.size:
            headers = resume_headers(job.begun)
        elif job.known is not None:
            if job.known.etag:
                headers["If-None-Match"] = unescape(job.known.etag)
            if job.known.last_modified:
                headers["If-Modified-Since"] = unescape(job.known.last_modified)
        async with asyncio.timeout(self._timeout):
            response = await self._connections.get(job.target, headers, single=job.dropped)
            try:
                answer = await self._read(job, response)
            except BaseException:
                response.close()
                raise
            response.release()
            return answer

    async def _read(self, job: Job, response: Response) -> Answer:
        status, headers = response.status, response.headers
        if status in (200, 203, 206, 304) and job.guard is not None:
            job.guard(job, headers)
        if status in (200, 203):
            job.begun = resumable(headers)
        elif status == 206 and (continues(headers, job.begun) if job.begun else is_whole(headers)):
            pass
        else:
            if status in (206, 416):
                job.begun = None
                raise BodyError(Failure(Reason.BODY_TRUNCATED, f"HTTP status {status} instead of the rest"))
            if response.framed and (response.length or 0) <= SMALL:
                await response.content.read(SMALL)
            return Answer(status, headers)
        body = await read_body(response, job.limit, job.accept, job.begun, self._large, clip=job.clip)
        job.begun = None
        return Answer(status, headers, body)
