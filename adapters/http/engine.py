"""The engine of the fetcher: sends requests, follows redirects, retries and pauses, and resolves each job."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

from multidict import CIMultiDictProxy

from ...catalog.models import Failure
from ...catalog.status import Reason
from .body import RESUMABLE, BodyError
from .client import Answer, Client, Job
from .failures import HOST_LEVEL, DroppedError, failure_of, status_failure
from .fetch_options import FetchOptions, SourceLimits, limits_for
from .leases import HostLeases
from .ledger import Ledger
from .origins import Origins, Policy, Unreachable
from .policy import CrawlPolicy, requested_pause, robots_delay_failure
from .schedule import Host, Schedule
from .urls import UrlError, follow

log = logging.getLogger("derlem.fetch")

REDIRECTS = frozenset({301, 302, 303, 307, 308})
LONGEST_PAUSE = 366 * 24 * 3600.0
"""Maximum pause in seconds, since a server may request a pause beyond representable dates."""

SLICE = 64
"""Maximum requests started in one iteration of the loop."""


class Engine:
    """Runs all requests of a worker. Every submitted job is resolved once."""

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        leases: HostLeases,
        options: FetchOptions,
        limits: SourceLimits,
        agent: str,
        on_error: Callable[[BaseException], None],
    ) -> None:
        """Call inside a running loop. `agent` is the product token; `on_error` receives unexpected errors."""
        self._client, self._ledger, self._options = client, ledger, options
        self._policy = CrawlPolicy.of(options)
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._schedule: Schedule[Job] = Schedule(
            lambda host: limits_for(host, options, limits), leases, options.breaker.failures
        )
        self._schedule.on_acquired = self._recall
        self._origins = Origins(agent, ledger, self._enqueue, self._admit)
        self._down: dict[str, Failure] = {}
        self._one_request: dict[str, float] = {}
        self._why: dict[str, Reason] = {}
        self._why_detail: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._active = 0
        self._pumping = False
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at = 0.0
        self.paused = False
        """Prevents new requests while set; call `wake` after clearing."""

    def submit(self, job: Job) -> None:
        """Submit a job; the files of its origin are read first."""
        self._origins.consult(job)

    def wake(self) -> None:
        """Start all requests that the schedule allows."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    async def close(self) -> None:
        """Cancel all active requests."""
        self.paused = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._schedule.close()

    # --- admission and scheduling ---

    def _admit(self, job: Job, policy: Policy) -> None:
        """Queue a job of a known origin, unless the origin's files forbid its URL."""
        respected = self._options.respect
        if isinstance(policy, Unreachable):
            if "robots" in respected:
                failure = policy.failure
                meta = {"opt_out": {"robots_txt": f"unreachable: {failure.reason}"}}
                detail = f"robots.txt cannot be read: {failure.detail}"
                job.resolve(job, Failure(failure.reason, detail, meta))
                return
        else:
            verdict = policy.before(job.target.url)
            if (reason := verdict.gate(respected)) is not None:
                job.resolve(job, Failure(reason, "robots.txt", verdict.as_meta))
                return
            job.policy, job.verdict = policy, verdict
            if delay := self._policy.pace_of(policy.crawl_delay):
                self._slow_down(job.target.host, delay)
        self._enqueue(job)

    def _slow_down(self, name: str, delay: float) -> None:
        """Apply a host's crawl delay; a delay beyond max_wait allows one request."""
        if self._policy.waits_for(delay):
            self._schedule.host(name).share.slow_down(delay)
        else:
            self._one_request[name] = delay

    def _enqueue(self, job: Job, delay: float = 0.0) -> None:
        """Queue a request, unless its host is left for another run."""
        name = job.target.host
        now = time.monotonic()
        host = self._schedule.host(name)
        failure = self._down.get(name)
        if failure is None and not self._policy.waits_for(host.paused_until - now):
            failure = self._paused(host, now)
        if failure is not None:
            self._loop.call_soon(job.resolve, job, failure)
        elif delay:
            self._schedule.add_later(host, job, now + delay, now)
        else:
            self._schedule.add(host, job, now, first=job.guard is None)
        self.wake()

    def _recall(self, host: Host[Job]) -> None:
        """Apply the ledger's pause of a host whose first slot was acquired."""
        found = self._ledger.pause_of(host.name, self._policy.max_pause)
        if found is None:
            return
        host.recorded, host.failing_since = True, found.since
        if found.until > time.time():
            now = time.monotonic()
            host.paused_until = max(host.paused_until, now + found.until - time.time())
            self._why[host.name] = Reason(found.reason)
            if not self._policy.waits_for(host.paused_until - now):
                self._loop.call_soon(self._leave, host, self._paused(host, now))

    def _pump(self) -> None:
        """Start requests, and set a timer for the next request."""
        self._pumping = False
        if self.paused:
            return
        for _ in range(SLICE):
            if self._active >= self._options.connections:
                return
            taken = self._schedule.take(time.monotonic())
            if taken is None:
                break
            host, job = taken
            if job.guard is not None and (delay := self._one_request.get(host.name)):
                self._why_detail[host.name] = robots_delay_failure(delay).detail
                self._pause(host, delay, Reason.HTTP_429)
            task = self._loop.create_task(self._run(host, job))
            self._active += 1
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self.wake()
            return
        at = self._schedule.wake_at()
        if at is not None and (self._timer is None or self._wake_at > at):
            if self._timer is not None:
                self._timer.cancel()
            self._wake_at = at
            self._timer = self._loop.call_later(max(at - time.monotonic(), 0.001), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.wake()

    # --- a request and its consequences ---

    async def _run(self, host: Host[Job], job: Job) -> None:
        try:
            try:
                result: Answer | Failure = await self._client.ask(job)
            except DroppedError as error:
                if error.reused and not job.dropped:
                    job.dropped = True
                    self._enqueue(job)
                    return
                result = failure_of(error)
            except BodyError as error:
                result = error.failure
            except Exception as error:
                result = failure_of(error)
            self._conclude(host, job, result)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._on_error(error)
        finally:
            self._active -= 1
            self._schedule.finished(host, time.monotonic())
            self.wake()

    def _conclude(self, host: Host[Job], job: Job, result: Answer | Failure) -> None:
        if isinstance(result, Answer):
            self._pause_after(host, result)
            if result.status in REDIRECTS:
                self._redirect(job, result.headers)
                self._answered(host)
                return
            if result.status not in (200, 203, 206) and not (result.status == 304 and job.known):
                result = status_failure(result.status)
        if isinstance(result, Answer):
            self._answered(host)
            job.resolve(job, result)
            return
        log.debug("%s: %s %s", job.target.url, result.reason, result.detail, extra=_place(host))
        if result.reason in HOST_LEVEL:
            self._count_failure(host, result)
        elif result.reason is not Reason.HTTP_429:
            self._answered(host)
        if result.reason.transient and job.tries < self._options.retries:
            job.tries += 1
            if job.begun is not None and job.begun.size < RESUMABLE:
                job.begun = None
            self._enqueue(job, self._policy.backoff_after(job.tries))
        else:
            job.resolve(job, result)

    def _answered(self, host: Host[Job]) -> None:
        """Reset the failures of a host that answered, also in the ledger, unless its pause still lasts."""
        if host.recorded and host.paused_until <= time.monotonic():
            self._ledger.answered(host.name)
            host.recorded = False
            log.info(
                "%s answers again; it failed since %s",
                host.name,
                _utc(host.failing_since),
                extra=_place(host),
            )
        host.failures = host.pauses = 0
        if not host.recorded:
            host.failing_since = None

    def _pause_after(self, host: Host[Job], answer: Answer) -> None:
        """Pause a host if its response requests a pause."""
        tries = host.pauses + 1
        seconds = self._policy.pause_after(answer.status, answer.headers, time.time(), tries)
        if not seconds:
            return
        if requested_pause(answer.status, answer.headers, time.time()) is None:
            host.pauses += host.paused_until <= time.monotonic()
        self._pause(host, seconds, Reason.HTTP_5XX if answer.status >= 500 else Reason.HTTP_429)

    def _redirect(self, job: Job, headers: CIMultiDictProxy[str]) -> None:
        """Follow a redirect, under the policy of its target."""
        location = headers.get("Location")
        if not location:
            job.resolve(job, Failure(Reason.PROTOCOL, "a redirect without a location"))
            return
        try:
            target = follow(job.target.url, location)
        except UrlError as error:
            job.resolve(job, Failure(Reason.BAD_URL, f"redirect to {location[:200]!r}: {error}"))
            return
        job.seen |= {str(job.target.url)}
        if str(target.url) in job.seen or len(job.seen) > job.hops:
            job.resolve(job, Failure(Reason.REDIRECT_LOOP, f"after {len(job.seen)} redirects: {target.url}"))
            return
        job.target, job.known, job.begun = target, None, None
        if job.policy is None and job.guard is None:
            self._enqueue(job)  # a site file, from which policies are read
        else:
            job.policy = job.verdict = None
            self._origins.consult(job)

    def _count_failure(self, host: Host[Job], failure: Failure) -> None:
        """The circuit breaker: pause a host after repeated failures, finally leave it for another run."""
        breaker = self._options.breaker
        now = time.monotonic()
        host.failures += 1
        host.failing_since = host.failing_since or time.time()
        if host.failures < breaker.failures or host.paused_until > now:
            return
        host.pauses += 1
        if host.pauses > breaker.pauses:
            detail = f"{host.failures} failures in a row, the last one: {failure.reason} {failure.detail}"
            self._down[host.name] = Failure(Reason.HOST_DOWN, detail.rstrip())
            self._leave(host, self._down[host.name])
        else:
            seconds = breaker.pause * 2 ** (host.pauses - 1) * random.uniform(1.0, 1.2)
            why = f"{host.failures} failures in a row, the last: {failure.reason} {failure.detail}"
            self._pause(host, seconds, Reason.HOST_DOWN, why.rstrip())

    def _pause(self, host: Host[Job], seconds: float, reason: Reason, why: str = "") -> None:
        """Pause a host and store the pause; leave the host for another run if it exceeds max_wait."""
        now = time.monotonic()
        seconds = min(seconds, LONGEST_PAUSE)
        if now + seconds <= host.paused_until:
            return
        until = time.time() + seconds
        host.failing_since = host.failing_since or time.time()
        self._ledger.pause_host(host.name, until, reason, host.failing_since)
        host.recorded = True
        log.log(
            logging.WARNING if reason is Reason.HOST_DOWN else logging.INFO,
            "%s: paused for %.0f s, until %s: %s; failing since %s, %d requests wait in this process",
            *(host.name, seconds, _utc(until), why or reason, _utc(host.failing_since), host.waiting),
            extra=_place(host),
        )
        self._why[host.name] = reason
        self._schedule.pause(host, now + seconds, now)
        if not self._policy.waits_for(seconds):
            self._leave(host, self._paused(host, now))

    def _paused(self, host: Host[Job], now: float) -> Failure:
        until = datetime.fromtimestamp(time.time() + host.paused_until - now, UTC)
        reason = self._why.get(host.name, Reason.HTTP_429)
        detail = f"the host is paused until {until.isoformat(timespec='seconds')}"
        why = self._why_detail.get(host.name)
        return Failure(reason, f"{detail}: {why}" if why else detail)

    def _leave(self, host: Host[Job], failure: Failure) -> None:
        """Leave a host for another run, and log a warning."""
        log.warning(
            "%s: left for another run: %s: %s; failing since %s, %d requests given up in this process",
            *(host.name, failure.reason, failure.detail, _utc(host.failing_since), host.waiting),
            extra=_place(host),
        )
        self._give_up(host, failure)

    def _give_up(self, host: Host[Job], failure: Failure) -> None:
        for job in self._schedule.drain(host, time.monotonic()):
            job.resolve(job, failure)


def _place(host: Host[Job]) -> dict[str, str]:
    """Return the fields of a log record about the host."""
    return {"host": host.name, "rate": f"{host.share.rate:g}/s"}


def _utc(seconds: float | None) -> str:
    """Return a time (seconds since the epoch) as text; the present time for None."""
    at = datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC)
    return at.isoformat(timespec="seconds")
