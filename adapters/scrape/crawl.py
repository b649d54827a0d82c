"""Runs one spider in this process and writes its documents to a pipe as JSON lines."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from typing import Any

from scrapy import Spider, signals
from scrapy.crawler import AsyncCrawlerProcess
from scrapy.http import Response
from scrapy.settings import Settings
from twisted.python.failure import Failure

from ...core.errors import ConfigError
from ..templates import Template
from .listing_cache import CrawlMarker
from .rules import CrawlSpec
from .spiders.base import ArchiveSpider
from .spiders.documents import Document, Unread

BUILT_IN = {
    "rules": ".spiders.base:ArchiveSpider",
    "istanbul_university": ".spiders.istanbul_university:IstanbulUniversity",
    "loc_newspapers": ".spiders.loc_newspapers:LocNewspapers",
    "iiif": ".spiders.iiif:Iiif",
    "internet_archive": ".spiders.internet_archive:InternetArchive",
}


def spider_class(name: str) -> type[ArchiveSpider]:
    """Return a built-in spider by name, or another as `package.module:Class`; ConfigError if not found."""
    module, _, attribute = BUILT_IN.get(name, name).partition(":")
    if not attribute:
        raise ConfigError(
            f"there is no spider {name!r} (built in: {', '.join(BUILT_IN)}; others as package.module:Class)",
            key="spider",
        )
    try:
        found = getattr(import_module(module, __package__), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ConfigError(f"the spider {name!r} cannot be loaded: {error}", key="spider") from error
    if not (isinstance(found, type) and issubclass(found, ArchiveSpider)):
        raise ConfigError(
            f"{name!r} is no subclass of {ArchiveSpider.__module__}.ArchiveSpider", key="spider"
        )
    return found


def settings(spec: CrawlSpec, pace: Mapping[str, float], started: float) -> Settings:
    """Return Scrapy's settings for a crawl. A spider's `custom_settings` override these settings."""
    slots: dict[str, dict[str, float]] = {}
    for host in {*spec.paces, *pace}:
        many, delay = spec.paces.get(host, (spec.concurrency, spec.delay))
        stated = pace.get(host, 0.0)
        slots[host] = {"concurrency": 1 if stated else many, "delay": max(delay, stated), "jitter": 0}
    ours = __package__
    return Settings(
        {
            "USER_AGENT": spec.user_agent,
            # RobotsMiddleware fails closed and applies crawl delays; Scrapy's middleware does neither
            "ROBOTSTXT_OBEY": False,
            "DERLEM_OBEY_ROBOTS": spec.obey_robots,
            "CONCURRENT_REQUESTS_PER_DOMAIN": spec.concurrency,
            "DOWNLOAD_DELAY": spec.delay,
            "DOWNLOAD_DELAY_JITTER": 0,
            "DOWNLOAD_SLOTS": slots,
            "DOWNLOAD_TIMEOUT": spec.timeout,
            "RETRY_TIMES": spec.retries,
            "DERLEM_BACKOFF": spec.backoff,
            "DERLEM_MAX_WAIT": spec.max_wait,
            "DOWNLOADER_MIDDLEWARES": {
                "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware": None,
                "scrapy.downloadermiddlewares.retry.RetryMiddleware": None,
                "scrapy.downloadermiddlewares.httpcache.HttpCacheMiddleware": None,
                f"{ours}.middlewares.RobotsMiddleware": 100,
                f"{ours}.middlewares.RetryMiddleware": 550,
                f"{ours}.middlewares.EncodingMiddleware": 585,
                f"{ours}.listing_cache.ListingCacheMiddleware": 900,
            },
            "SPIDER_MIDDLEWARES": {f"{ours}.middlewares.ReportMiddleware": 900},
            "HTTPCACHE_ENABLED": True,
            "HTTPCACHE_DIR": str(spec.listings),
            "HTTPCACHE_STORAGE": f"{ours}.listing_cache.ListingCache",
            "HTTPCACHE_POLICY": f"{ours}.listing_cache.ListingPolicy",
            "DERLEM_CRAWL_STARTED": started,
            # limits and public addresses
            "DOWNLOAD_VERIFY_CERTIFICATES": spec.verify_certificates,
            "DOWNLOAD_MAXSIZE": spec.maximum_bytes,
            "DOWNLOAD_WARNSIZE": 0,
            "DOWNLOAD_HANDLERS": dict.fromkeys(("data", "file", "ftp", "s3")),
            "TWISTED_DNS_RESOLVER": f"{ours}.network.PublicResolver",
            "DERLEM_ALLOW_PRIVATE": list(spec.allow_private),
            "HTTPPROXY_ENABLED": False,  # a proxy would make its own connections, unchecked
            "REMOTE_CONTROL_ENABLED": False,
            "TELNETCONSOLE_ENABLED": False,
            "COOKIES_ENABLED": False,
            "METAREFRESH_ENABLED": False,
            "URLLENGTH_LIMIT": 0,  # a limit would silently drop longer URLs
            # first in, first out: documents keep the order of their listing
            "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
            "LOG_LEVEL": "INFO",
            "LOG_FORMAT": "%(levelname)s %(name)s: %(message)s",
            "STATS_DUMP": False,
            "LOGSTATS_INTERVAL": 0,
            "WARN_ON_GENERATOR_RETURN_VALUE": False,
        }
    )


class Pipe:
    """Writes one JSON object per line, in order. A full pipe slows the crawl, not the event loop."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._writer = ThreadPoolExecutor(1)

    def write(self, record: Mapping[str, Any]) -> None:
        """Write a record; the process exits when the reading end is closed."""
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except BrokenPipeError:
            os._exit(1)

    async def send(self, record: Mapping[str, Any]) -> None:
        """Write a record in the writer's thread, and wait until the record is written."""
        await asyncio.wrap_future(self.put(record))

    def put(self, record: Mapping[str, Any]) -> Future[None]:
        """Queue a record for the writer's thread."""
        return self._writer.submit(self.write, record)

    def finish(self) -> None:
        """Wait until all queued records are written."""
        self._writer.shutdown()


class Crawl:
    """One crawl: its specification, its marker, and the counts of pages, documents and failures."""

    def __init__(self, spec: CrawlSpec, pipe: Pipe) -> None:
        self.spec, self.pipe = spec, pipe
        self.pages = self.documents = self.missed = 0

    def run(self) -> None:
        """Run the crawl; ConfigError, before any record, if the spec does not match the spider."""
        kind = spider_class(self.spec.spider)
        self.category = Template(self.spec.category, kind(self.spec).template_fields)
        marker = CrawlMarker(self.spec)
        process = AsyncCrawlerProcess(settings(self.spec, kind.pace, marker.started))
        logging.getLogger("scrapy").setLevel(logging.WARNING)
        crawler = process.create_crawler(kind)
        crawler.signals.connect(self.take, signals.item_scraped)
        crawler.signals.connect(self.broken, signals.spider_error)
        crawler.signals.connect(self.read, signals.response_received)
        process.crawl(crawler, self.spec)
        process.start()
        self.pipe.finish()
        finished = bool(crawler._stats) and crawler.stats.get_value("finish_reason") == "finished"
        if not finished or process.bootstrap_failed:
            raise RuntimeError("the crawl was interrupted")
        if not self.missed:
            marker.remove()
        self.pipe.write(
            {"kind": "end", "pages": self.pages, "documents": self.documents, "resumed": marker.resumed}
        )

    async def take(self, item: Any) -> None:
        """Send a document or failed listing that the spider yielded."""
        if isinstance(item, Document):
            self.documents += 1
            await self.pipe.send(item.record(self.category))
        elif isinstance(item, Unread):
            self.missed += item.reason.transient
            await self.pipe.send(item.record())
        else:
            self._miss("", f"the spider yielded {type(item).__name__}, which is not a Document")

    def broken(self, failure: Failure, response: Response | None, spider: Spider) -> None:
        """Report a page for which the spider raised an exception."""
        self._miss(
            response.url if response is not None else "", f"{type(failure.value).__name__}: {failure.value}"
        )

    def _miss(self, url: str, detail: str) -> None:
        self.missed += 1
        self.pipe.put({"kind": "broken", "uri": url, "detail": detail})

    def read(self, response: Response) -> None:
        """Count a page."""
        self.pages += 1
