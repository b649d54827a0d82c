"""The HTTP cache for listings: what makes a killed crawl go on, and the next crawl cheap.

Two cases are distinguished. Pages of a crawl that was interrupted are its own and are not asked for again
when it goes on. Pages of a finished crawl are a cache in the sense of RFC 9111: used while the server
declared them fresh, revalidated otherwise. Nothing is assumed fresh by heuristics, and nothing stale is
used in place of an error: either would hide what is new.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy.downloadermiddlewares.httpcache import HttpCacheMiddleware
from scrapy.extensions.httpcache import RFC2616Policy, parse_cachecontrol
from scrapy.http import Headers, Request, Response
from scrapy.responsetypes import responsetypes
from scrapy.settings import BaseSettings

from ...core.durable import replace_file

if TYPE_CHECKING:
    from scrapy import Spider

    from .rules import CrawlSpec

MARKER_SECONDS = 7 * 24 * 3600
"""An interrupted crawl is older than this: its pages are no longer taken as they are."""


class CrawlMarker:
    """The note that a crawl has begun and not ended, with what it was a crawl of."""

    def __init__(self, spec: CrawlSpec) -> None:
        """Find the note of an interrupted crawl of the same specification, or write a new one."""
        identity = spec.model_dump(mode="json", include={"source", "spider", "start", "follow", "options"})
        fingerprint = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        self._path = spec.listings / "crawl.json"
        self.started, self.resumed = time.time(), False
        marker = self._read()
        if marker.get("of") == fingerprint and 0 <= self.started - marker["started"] < MARKER_SECONDS:
            self.started, self.resumed = marker["started"], True
        else:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, json.dumps({"of": fingerprint, "started": self.started}))

    def _read(self) -> dict[str, Any]:
        try:
            marker: dict[str, Any] = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        return marker

    def remove(self) -> None:
        """The crawl has ended and everything was read."""
        self._path.unlink(missing_ok=True)


class ListingCache:
    """Responses as files, each whole or not there (HTTPCACHE_STORAGE): a line of JSON, then the body."""

    def __init__(self, settings: BaseSettings) -> None:
        self._folder = Path(settings["HTTPCACHE_DIR"])

    def open_spider(self, spider: Spider) -> None:
        """Learn how the crawler distinguishes requests."""
        self._fingerprinter = spider.crawler.request_fingerprinter

    def close_spider(self, spider: Spider) -> None:
        """Nothing is held open."""

    def _path(self, request: Request) -> Path:
        key = self._fingerprinter.fingerprint(request).hex()
        return self._folder / key[:2] / key

    def retrieve_response(self, spider: Spider, request: Request) -> Response | None:
        """The response to this request, if there is one."""
        try:
            head, _, body = self._path(request).read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        kept = json.loads(head)
        headers = Headers(kept["headers"])
        kind = responsetypes.from_args(headers=headers, url=kept["url"], body=body)
        request.meta["cache_timestamp"] = kept["at"]
        return kind(url=kept["url"], status=kept["status"], headers=headers, body=body)

    def store_response(self, spider: Spider, request: Request, response: Response) -> None:
        """Keep a response."""
        headers = {
            name.decode("latin-1"): [value.decode("latin-1") for value in response.headers.getlist(name)]
            for name in response.headers
        }
        kept = {"url": response.url, "status": response.status, "at": time.time(), "headers": headers}
        path = self._path(request)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(kept).encode() + b"\n" + response.body)


class ListingPolicy(RFC2616Policy):
    """RFC 2616 without heuristics, and the pages of the crawl that goes on (HTTPCACHE_POLICY)."""

    def __init__(self, settings: BaseSettings) -> None:
        super().__init__(settings)
        self._since = settings.getfloat("DERLEM_CRAWL_STARTED")

    def should_cache_response(self, response: Response, request: Request) -> bool:
        """Whatever may be stored at all and is a page or a lasting redirect."""
        directives = parse_cachecontrol(b",".join(response.headers.getlist("Cache-Control")))
        return b"no-store" not in directives and response.status in (200, 301, 308)

    def is_cached_response_fresh(self, cachedresponse: Response, request: Request) -> bool:
        """Whether the page is this crawl's own, or was declared fresh by its server."""
        if request.meta["cache_timestamp"] >= self._since:
            return True
        directives = parse_cachecontrol(b",".join(cachedresponse.headers.getlist("Cache-Control")))
        if b"max-age" in directives or "Expires" in cachedresponse.headers:
            return super().is_cached_response_fresh(cachedresponse, request)
        for validator, condition in (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since")):
            if validator in cachedresponse.headers:
                request.headers[condition] = cachedresponse.headers[validator]
        return False

    def is_cached_response_valid(
        self, cachedresponse: Response, response: Response, request: Request
    ) -> bool:
        """A page is kept only if the server answers that it is unchanged."""
        return response.status == 304


class ListingCacheMiddleware(HttpCacheMiddleware):
    """Scrapy's middleware without its recovery from errors by stale pages."""

    def process_exception(self, request: Request, exception: Exception, spider: Spider | None = None) -> None:
        """A page that could not be fetched was not fetched."""
        request.meta.pop("cached_response", None)
