"""Scrapy middlewares: crawl policy (robots.txt, pauses, retries), encodings, reports of failures."""

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
    """Leave at least `delay` seconds between two requests to `host`, without random jitter.

    Scrapy drops a slot after a minute without requests; the per-slot settings keep the delay for a new slot.
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
        slot.delay, slot.jitter = max(slot.delay, kept["delay"]), 0  # a pause may have raised the delay


def policy_of(crawler: Crawler) -> CrawlPolicy:
    """Return the crawl policy in Scrapy's settings."""
    settings = crawler.settings
    return CrawlPolicy(
        max_wait=settings.getfloat("DERLEM_MAX_WAIT"),
        backoff=settings.getfloat("DERLEM_BACKOFF"),
        obeys_robots=settings.getbool("DERLEM_OBEY_ROBOTS"),
    )


class HostPauses:
    """Pauses hosts: Scrapy sends no request to a host during its pause."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._until: dict[str, float] = {}

    def take(self, host: str, seconds: float) -> None:
        """Pause `host` for `seconds`."""
        until = time.monotonic() + seconds
        slot = self._crawler.engine.downloader.slots.get(host)
        if slot is None or until <= self._until.get(host, 0.0):
            return
        self._until[host] = until
        # A queue waits for `delay` seconds since the slot's last request. `_end` resets the delay shortly
        # before the queue continues, so that only the first request waits for the pause.
        slot.delay, slot.jitter = until - slot.lastseen + 0.1, 0
        asyncio.get_running_loop().call_later(seconds, self._end, host, until)

    def _end(self, host: str, until: float) -> None:
        downloader = self._crawler.engine.downloader
        slot = downloader.slots.get(host)
        if slot is not None and self._until.get(host) == until:
            kept = downloader.per_slot_settings.get(host, {})
            slot.delay = float(kept.get("delay", self._crawler.settings.getfloat("DOWNLOAD_DELAY")))


class RobotsMiddleware:
    """Applies robots.txt and fails closed (RFC 9309): an unreachable robots.txt forbids all requests.

    A missing file (4xx) allows all requests, except for 429, which is transient. The crawl delay limits
    the host's request rate even if the configuration does not respect robots.txt.
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
        """Raise Refused if the host's robots.txt forbids the request or could not be fetched."""
        if request.meta.get("derlem_robots"):
            return
        parts = urlsplit(request.url)
        rules = await self._rules(f"{parts.scheme}://{parts.netloc}", parts.hostname or "")
        if not self._policy.obeys_robots:
            return
        if isinstance(rules, Refused):
            raise Refused(rules.reason, f"robots.txt could not be fetched: {rules.detail}")
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
    """Retries transient failures after the pause that the server requests.

    `Retry-After` (RFC 9110, 10.2.3: seconds or a date) pauses the whole host; without this header, the
    pause doubles with each try. A host with a pause over `DERLEM_MAX_WAIT` is left for another run.
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
        # Scrapy sends this signal before the host's next request; `process_response` runs after that request.
        crawler.signals.connect(middleware.pause, signals.response_downloaded)
        return middleware

    def pause(self, response: Response, request: Request) -> None:
        """Pause the host after a busy response (429, 503), before its next request is sent."""
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
            why = f"HTTP {response.status}: the host requests a pause of {seconds:.0f} s"
            self._left_alone[_host(request)] = time.monotonic() + seconds, why
            self._turn_back(request, why)
        else:
            logger.info("%s: HTTP %d; pausing %.1f s", request.url, response.status, seconds)
            self._pauses.take(_host(request), seconds)

    def _turn_back(self, request: Request, why: str) -> None:
        """Refuse the requests in the host's slot, which have already passed the middlewares."""
        slot = self._crawler.engine.downloader.slots[request.meta["download_slot"]]
        while slot.queue:
            _, answer = slot.queue.popleft()
            answer.errback(Refused(Reason.HTTP_429, why))

    def process_request(self, request: Request) -> None:
        """Raise Refused for a host with a pause that is too long to wait for."""
        until, why = self._left_alone.get(_host(request), (0.0, ""))
        if time.monotonic() < until:
            raise Refused(Reason.HTTP_429, why)

    def process_response(self, request: Request, response: Response) -> Request | Response:
        """Retry a request that was answered with 429 or a transient error."""
        if response.status not in BUSY or "cached" in response.flags:
            return response
        self.process_request(request)
        return self._again(request, f"HTTP {response.status}") or response

    def process_exception(self, request: Request, exception: Exception) -> Request | None:
        """Retry a request after a transient failure of the connection."""
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
        assert spider is not None  # every request comes from the spider
        return get_retry_request(request, spider=spider, reason=why)


class EncodingMiddleware:
    """Sets the spider's `encoding` for pages that declare no encoding and are not UTF-8."""

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
    """Adds an errback that reports failures to every request of a spider that has none."""

    def get_processed_request(self, request: Request, response: Response | None) -> Request:
        """Return the request with an errback and its `source_page`."""
        spider = self.crawler.spider
        if request.errback is None and isinstance(spider, ArchiveSpider):
            request.errback = spider.unread
        if response is not None:
            request.meta.setdefault("source_page", response.url)
        return request


def _host(request: Request) -> str:
    return urlsplit(request.url).hostname or ""
