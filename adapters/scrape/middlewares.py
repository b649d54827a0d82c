"""Carries the crawl policy out in Scrapy: robots.txt, pauses and retries; and the encoding of pages."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from multidict import CIMultiDict
from scrapy import Request, signals
from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
)
from scrapy.http import Response, TextResponse
from scrapy.http.request import NO_CALLBACK
from scrapy.spidermiddlewares.base import BaseSpiderMiddleware

from ...catalog.status import Reason
from ..http.fetch_options import SITE_FILE_LIFE, product_token
from ..http.optouts import OriginPolicy
from ..http.policy import (
    BUSY,
    CrawlPolicy,
    forbids_all,
    robots_delay_failure,
    robots_failure,
)
from ..http.site_files import MAX_ROBOTS, SITE_FILE_REDIRECTS, site_text
from .listing_failures import Refused, is_certificate_error, reason_of
from .network import REFUSED_HOSTS
from .spiders.base import ArchiveSpider

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger("derlem.scrape")


def slow_down(crawler: Crawler, host: str, delay: float) -> None:
    """Leave at least `delay` seconds between two requests to `host`, exactly and not at random.

    Scrapy forgets a slot that was idle for a minute: the pace is also put where new slots take theirs.
    """
    downloader = crawler.engine.downloader
    default = {
        "concurrency": downloader.domain_concurrency,
        "delay": crawler.settings.getfloat("DOWNLOAD_DELAY"),
    }
    kept = downloader.per_slot_settings.setdefault(host, default)
    kept.update(delay=max(float(kept.get("delay", 0)), delay), jitter=0)
    slot = downloader.slots.get(host)
    if slot is not None:
        slot.delay, slot.jitter = max(slot.delay, kept["delay"]), 0  # it may be paused


def policy_of(crawler: Crawler) -> CrawlPolicy:
    """The crawl policy in Scrapy's settings."""
    settings = crawler.settings
    return CrawlPolicy(
        max_wait=settings.getfloat("DERLEM_MAX_WAIT"),
        backoff=settings.getfloat("DERLEM_BACKOFF"),
        obeys_robots=settings.getbool("DERLEM_OBEY_ROBOTS"),
    )


class HostPauses:
    """Times in which nothing is sent to a host."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._until: dict[str, float] = {}

    def take(self, host: str, seconds: float) -> None:
        """Send nothing to `host` for so long."""
        until = time.monotonic() + seconds
        slot = self._crawler.engine.downloader.slots.get(host)
        if slot is None or until <= self._until.get(host, 0.0):
            return
        self._until[host] = until
        # A queue waits for `delay` seconds since the slot's last request. The pace is set back shortly
        # before the queue moves on, so that only the first request pays the rest.
        slot.delay, slot.jitter = until - slot.lastseen + 0.1, 0
        asyncio.get_running_loop().call_later(seconds, self._end, host, until)

    def _end(self, host: str, until: float) -> None:
        downloader = self._crawler.engine.downloader
        slot = downloader.slots.get(host)
        if slot is not None and self._until.get(host) == until:
            kept = downloader.per_slot_settings.get(host, {})
            slot.delay = float(kept.get("delay", self._crawler.settings.getfloat("DOWNLOAD_DELAY")))


class RobotsMiddleware:
    """Obeys robots.txt and fails closed (RFC 9309): what cannot be fetched forbids everything.

    A file that is not there (4xx) allows everything, but for 429: a busy host has not allowed anything.
    Its crawl delay becomes the host's pace, also where the configuration does not let it forbid.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._agent = product_token(str(crawler.settings["USER_AGENT"]))
        self._policy = policy_of(crawler)
        self._known: dict[str, tuple[float, asyncio.Task[OriginPolicy | Refused]]] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> RobotsMiddleware:
        """As Scrapy builds it."""
        return cls(crawler)

    async def process_request(self, request: Request) -> None:
        """Stop a request that the host's robots.txt forbids, or whose robots.txt could not be had."""
        if request.meta.get("derlem_robots"):
            return
        parts = urlsplit(request.url)
        rules = await self._rules(f"{parts.scheme}://{parts.netloc}", parts.hostname or "")
        if not self._policy.obeys_robots:
            return
        if isinstance(rules, Refused):
            raise Refused(rules.reason, f"robots.txt could not be had: {rules.detail}")
        delay = self._policy.pace_of(rules.crawl_delay)
        if not self._policy.waits_for(delay):
            failure = robots_delay_failure(delay)
            raise Refused(failure.reason, failure.detail)
        if not rules.allows(request.url):
            raise Refused(Reason.ROBOTS, "forbidden by robots.txt")

    async def _rules(self, origin: str, host: str) -> OriginPolicy | Refused:
        known = self._known.get(origin)
        if known is None or time.monotonic() - known[0] > SITE_FILE_LIFE:
            known = time.monotonic(), asyncio.create_task(self._fetch(origin, host))
            self._known[origin] = known
        return await asyncio.shield(known[1])

    async def _fetch(self, origin: str, host: str) -> OriginPolicy | Refused:
        request = Request(
            f"{origin}/robots.txt",
            callback=NO_CALLBACK,
            priority=1000,
            meta={"derlem_robots": True, "dont_cache": True, "redirect_ttl": SITE_FILE_REDIRECTS},
        )
        try:
            response = await self._crawler.engine.download_async(request)
        except Exception as error:
            return Refused(reason_of(error), str(error))
        failure = robots_failure(response.status)
        if failure is not None and forbids_all(failure):
            return Refused(failure.reason, failure.detail)
        text = site_text(response.body, MAX_ROBOTS) if failure is None else None
        rules = OriginPolicy(self._agent, origin, time.time(), response.status, text, None)
        delay = rules.crawl_delay
        if delay and self._policy.waits_for(delay):
            slow_down(self._crawler, host, delay)
        return rules


class RetryMiddleware:
    """Tries again what may do better another time, after the rest that the server asks for.

    `Retry-After` (RFC 9110, 10.2.3: seconds or a date) holds the whole host; without it, the rest doubles
    with each try. A host with a pause over `DERLEM_MAX_WAIT` is left for another run.
    """

    RETRIED = (
        CannotResolveHostError,
        DownloadConnectionRefusedError,
        DownloadFailedError,
        DownloadTimeoutError,
        ResponseDataLossError,
    )

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._pauses = HostPauses(crawler)
        self._policy = policy_of(crawler)
        self._left_alone: dict[str, tuple[float, str]] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> RetryMiddleware:
        """As Scrapy builds it."""
        middleware = cls(crawler)
        # This signal comes before the host's next request is sent; `process_response` would be too late.
        crawler.signals.connect(middleware.pause, signals.response_downloaded)
        return middleware

    def pause(self, response: Response, request: Request) -> None:
        """Pause the host when it answers that it cannot, before anything else is sent to it."""
        if response.status not in BUSY:
            return
        headers = CIMultiDict(
            (name.decode("latin-1"), b",".join(values).decode("latin-1"))
            for name, values in response.headers.items()
        )
        tries = int(request.meta.get("retry_times", 0)) + 1
        seconds = self._policy.pause_after(response.status, headers, time.time(), tries)
        if seconds is None:
            seconds = self._policy.backoff_after(tries)
        if not self._policy.waits_for(seconds):
            why = f"HTTP {response.status}: the host asks to be left alone for {seconds:.0f} s"
            self._left_alone[_host(request)] = time.monotonic() + seconds, why
            self._turn_back(request, why)
        else:
            logger.info("%s: HTTP %d; pausing %.1f s", request.url, response.status, seconds)
            self._pauses.take(_host(request), seconds)

    def _turn_back(self, request: Request, why: str) -> None:
        """Stop the requests that wait in the host's slot: they have passed the middlewares."""
        slot = self._crawler.engine.downloader.slots[request.meta["download_slot"]]
        while slot.queue:
            _, answer = slot.queue.popleft()
            answer.errback(Refused(Reason.HTTP_429, why))

    def process_request(self, request: Request) -> None:
        """Stop a request to a host that is left alone."""
        until, why = self._left_alone.get(_host(request), (0.0, ""))
        if time.monotonic() < until:
            raise Refused(Reason.HTTP_429, why)

    def process_response(self, request: Request, response: Response) -> Request | Response:
        """Ask again for a page that was answered with 429 or a passing error."""
        if response.status not in BUSY or "cached" in response.flags:
            return response
        self.process_request(request)
        return self._again(request, f"HTTP {response.status}") or response

    def process_exception(self, request: Request, exception: Exception) -> Request | None:
        """Ask again after a passing failure of the connection."""
        if not isinstance(exception, self.RETRIED) or is_certificate_error(exception):
            return None
        if _host(request) in REFUSED_HOSTS:
            raise Refused(Reason.PRIVATE_ADDRESS, f"{_host(request)} has an address that is not public")
        again = self._again(request, str(exception))
        if again is not None:
            tries = int(request.meta.get("retry_times", 0)) + 1
            self._pauses.take(_host(request), self._policy.backoff_after(tries))
        return again

    def _again(self, request: Request, why: str) -> Request | None:
        spider = self._crawler.spider
        assert spider is not None  # requests come from one
        return get_retry_request(request, spider=spider, reason=why)


class EncodingMiddleware:
    """Gives pages that state no encoding and are not UTF-8 the one that the spider knows its archive by."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> EncodingMiddleware:
        """As Scrapy builds it."""
        return cls(crawler)

    def process_response(self, request: Request, response: Response) -> Response:
        """Set the encoding of an undeclared page."""
        known = getattr(self._crawler.spider, "encoding", None)
        if not known or not isinstance(response, TextResponse) or response._declared_encoding():
            return response
        try:
            response.body.decode("utf-8")
        except UnicodeDecodeError:
            return response.replace(encoding=known)
        return response


class ReportMiddleware(BaseSpiderMiddleware):
    """Gives every request of a spider an errback that reports it, also those that its author gave none."""

    def get_processed_request(self, request: Request, response: Response | None) -> Request:
        """The request, its failure reported."""
        spider = self.crawler.spider
        if request.errback is None and isinstance(spider, ArchiveSpider):
            request.errback = spider.unread
        if response is not None:
            request.meta.setdefault("source_page", response.url)
        return request


def _host(request: Request) -> str:
    return urlsplit(request.url).hostname or ""
