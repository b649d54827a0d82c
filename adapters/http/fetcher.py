"""The fetcher's interface for adapters: takes items with URLs, yields payloads and failures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from queue import SimpleQueue
from typing import Any

import uvloop
from multidict import CIMultiDictProxy

from ... import __version__
from ...catalog.models import Failure, Item, Payload
from ...catalog.status import Reason
from ...core.masking import mask
from ...core.sniff import HEAD
from ...core.workspace import Workspace
from ..base import Context
from ..names import escape
from .body import BodyError, check_type
from .body_store import BodyStore, Place
from .client import Answer, Client, Job
from .engine import Engine
from .fetch_options import FetchOptions, SourceLimits, product_token
from .leases import HostLeases
from .ledger import Known, Ledger
from .optouts import inside
from .urls import UrlError, read_url

LOOK_AHEAD = 16_384
"""Maximum items in progress; enough to include items of other hosts while some hosts pause."""

CHUNK = 256
HELD = 64 * 2**20
"""Fetched bytes in the queue above which no request is started."""

REDIRECT_LIMIT = 10

_HEADERS = (("etag", "ETag"), ("last_modified", "Last-Modified"), ("content_type", "Content-Type"))


class Fetcher:
    """Fetches URLs within the limits of FetchOptions, with an event loop in a separate thread.

    Use one fetcher per process and workspace at a time: leases share hosts only between processes.
    """

    def __init__(
        self,
        context: Context,
        limits: SourceLimits | None = None,
        *,
        accept: tuple[str, ...] = ("image/", "application/pdf"),
        verify_certificates: bool = True,
    ) -> None:
        """`limits` are the source's limits. A body with a known media type that starts with none of
        `accept` is rejected at its first bytes (not_image); a body of an unknown type is accepted.
        """
        self._workspace = context.workspace
        self._options = context.fetch
        self._limits = limits or SourceLimits()
        self._accept, self._verify = accept, verify_certificates

    def fetch(self, items: Iterable[Item]) -> Iterator[tuple[str, Payload | Failure]]:
        """Yield (item_id, payload or failure) once for each item, as they arrive; `item.uri` is the URL.

        `items` is consumed lazily, with bounded look-ahead, from the thread that consumes the results. A
        payload's `meta` has `fetch` (time, status, validators, final URL) and `opt_out` (the site's
        opt-out signals, raw, with their time).
        """
        with _Session(
            self._workspace, self._options, self._limits, self._accept, verify=self._verify
        ) as session:
            yield from session.results(items)


class _Session:
    """One pass over a stream of items: the loop's thread, and the queues between the two threads."""

    def __init__(
        self,
        workspace: Workspace,
        options: FetchOptions,
        limits: SourceLimits,
        accept: tuple[str, ...],
        *,
        verify: bool,
    ) -> None:
        self._workspace, self._options, self._limits = workspace, options, limits
        self._accept, self._verify = accept, verify
        self._limit = int(limits.max_bytes or options.max_bytes)
        self._queue: SimpleQueue[tuple[Job, Answer | Failure] | BaseException] = SimpleQueue()
        self._held = 0
        self._taken = 0
        self._thread = threading.Thread(target=self._work, name="derlem-fetch", daemon=True)
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: Engine | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> _Session:
        self._ledger = Ledger(self._workspace.ledger)
        self._leases = HostLeases(self._workspace.state / "hosts.lock")
        self._store = BodyStore(self._workspace)
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with suppress(RuntimeError):  # the loop has already ended with an error
                loop.call_soon_threadsafe(stop.set)
        self._thread.join()
        self._leases.close()
        self._store.close()
        self._ledger.close()

    # --- in the consumer's thread ---

    def results(self, items: Iterable[Item]) -> Iterator[tuple[str, Payload | Failure]]:
        """Submit the items and yield their results."""
        source = iter(items)
        outstanding, more = 0, True
        while more or outstanding:
            if more and outstanding <= LOOK_AHEAD - CHUNK and (self._queue.empty() or outstanding < CHUNK):
                chunk = list(islice(source, CHUNK))
                more = len(chunk) == CHUNK
                refused = self._submit(chunk)
                outstanding += len(chunk) - len(refused)
                yield from refused
                continue
            done = self._queue.get()
            if isinstance(done, BaseException):
                raise done
            job, result = done
            payload = result if isinstance(result, Failure) else self._finish(job, result)
            if payload is not None:
                outstanding -= 1
                yield job.item_id, payload

    def _submit(self, chunk: list[Item]) -> list[tuple[str, Failure]]:
        """Submit items to the loop; return failures of items with an invalid URL."""
        jobs: list[Job] = []
        refused: list[tuple[str, Failure]] = []
        known = self._ledger.known([item.uri for item in chunk]) if self._options.cache else {}
        for item in chunk:
            try:
                target = read_url(item.uri)
            except UrlError as error:
                refused.append((item.item_id, Failure(Reason.BAD_URL, str(error))))
                continue
            jobs.append(
                Job(
                    target,
                    self._resolve,
                    self._limit,
                    REDIRECT_LIMIT,
                    self._accept,
                    item_id=item.item_id,
                    address=item.uri,
                    known=known.get(item.uri),
                    guard=self._guard,
                )
            )
        if jobs:
            self._call(self._take_in, jobs)
        return refused

    def _finish(self, job: Job, answer: Answer) -> Payload | Failure | None:
        """Return the payload of an answer and cache its bytes; None if the job must be repeated."""
        body = answer.body
        self._taken += len(body)
        engine = self._engine
        if engine is not None and engine.paused and self._held - self._taken < HELD // 2:
            self._call(self._resume)
        if answer.status == 304 and job.known is not None:
            known = job.known
            kept = self._store.load(Place(known.sha256, known.size, known.pack, known.offset))
            if kept is None:  # the cached body is damaged or missing: fetch again
                job.known = None
                self._call(self._take_in, [job])
                return None
            body = kept
        try:
            check_type(body[:HEAD], self._accept)
            if job.verdict is not None and body.startswith(b"%PDF-"):
                inside(job.verdict, body)
                self._gate(job)
        except BodyError as error:
            return error.failure
        headers = _stored_headers(answer)
        if answer.status == 304 and job.known is not None:  # as of the response that carried the body
            headers = {name: value for name, _ in _HEADERS if (value := getattr(job.known, name))} | headers
        # a later request is conditional only with a validator
        checkable = "etag" in headers or "last_modified" in headers
        if answer.status != 304 and self._options.cache and checkable:
            known = Known(*self._store.store(body), *(headers.get(name) for name, _ in _HEADERS))
            self._ledger.remember(job.address, known)
        return Payload(body, {}, _evidence(job, answer.status, headers))

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop has ended; its error is in the queue
            self._loop.call_soon_threadsafe(function, *arguments)

    # --- in the loop's thread ---

    def _work(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            self._queue.put(error)
        finally:
            self._started.set()

    async def _serve(self) -> None:
        options = self._options
        agent = options.agent(__version__)
        client = Client(
            options,
            agent=agent,
            timeout=self._limits.timeout or options.timeouts.total,
            verify=self._verify,
        )
        token = product_token(agent)
        engine = Engine(client, self._ledger, self._leases, options, self._limits, token, self._queue.put)
        self._loop, self._engine, self._stop = asyncio.get_running_loop(), engine, asyncio.Event()
        self._started.set()
        try:
            await self._stop.wait()
        finally:
            await engine.close()
            await client.close()

    def _take_in(self, jobs: list[Job]) -> None:
        assert self._engine is not None
        try:
            for job in jobs:
                self._engine.submit(job)
        except BaseException as error:
            self._queue.put(error)

    def _resume(self) -> None:
        assert self._engine is not None
        self._engine.paused = False
        self._engine.wake()

    def _guard(self, job: Job, headers: CIMultiDictProxy[str]) -> None:
        """Raise BodyError if the headers opt out, before the body is transferred."""
        if job.policy is None or job.verdict is None:
            return
        job.policy.after(job.verdict, job.target.url, headers)
        self._gate(job)

    def _gate(self, job: Job) -> None:
        if job.verdict is not None and (reason := job.verdict.gate(self._options.respect)) is not None:
            raise BodyError(Failure(reason, "the site opts out", job.verdict.as_meta))

    def _resolve(self, job: Job, result: Answer | Failure) -> None:
        """Put a job's result into the queue."""
        if isinstance(result, Answer):
            self._held += len(result.body)
            if self._engine is not None and self._held - self._taken > HELD:
                self._engine.paused = True
        self._queue.put((job, result))


def _stored_headers(answer: Answer) -> dict[str, str]:
    """Return the headers that describe the body, escaped, since databases reject undecodable bytes."""
    return {name: escape(value) for name, header in _HEADERS if (value := answer.headers.get(header))}


def _evidence(job: Job, status: int, headers: dict[str, str]) -> dict[str, Any]:
    """Return fields for the item's `meta`: details of the request, and the opt-out signals."""
    fetched: dict[str, Any] = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "status": status}
    if job.seen:
        fetched["url"] = mask(str(job.target.url))  # redirects lead to signed addresses
    meta: dict[str, Any] = {"fetch": fetched | headers}
    if job.verdict is not None:
        meta |= job.verdict.as_meta  # an opt-out that `respect` ignores; sampling may respect it
    return meta
