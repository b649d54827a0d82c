"""The HTTP cache for listings: resumes an interrupted crawl and makes the next crawl cheap.

The cache distinguishes two cases. A resumed crawl uses the pages of its interrupted part without a
request. Pages of a finished crawl follow RFC 9111: the cache uses a page while the server declared the
page fresh, and revalidates the page otherwise. Heuristic freshness and stale responses in place of errors
are disabled, since both hide new documents.
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
"""Maximum age of an interrupted crawl; the pages of an older crawl are revalidated."""


class CrawlMarker:
    """The file that marks an unfinished crawl, with the fingerprint of its specification."""

    def __init__(self, spec: CrawlSpec) -> None:
        """Find the marker of an interrupted crawl of the same specification, or write a new one."""
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
        """Remove the marker: the crawl finished and all listings were read."""
        self._path.unlink(missing_ok=True)


class ListingCache:
    """Stores each response in a file, written atomically (HTTPCACHE_STORAGE): a JSON line, then the body."""

    def __init__(self, settings: BaseSettings) -> None:
        self._folder = Path(settings["HTTPCACHE_DIR"])

    def open_spider(self, spider: Spider) -> None:
        """Take the crawler's request fingerprinter."""
        self._fingerprinter = spider.crawler.request_fingerprinter

    def close_spider(self, spider: Spider) -> None:
        """Do nothing: the cache keeps no file open."""

    def _path(self, request: Request) -> Path:
        key = self._fingerprinter.fingerprint(request).hex()
        return self._folder / key[:2] / key

    def retrieve_response(self, spider: Spider, request: Request) -> Response | None:
        """Return the stored response to this request, or None."""
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
        """Store a response."""
        headers = {
            name.decode("latin-1"): [value.decode("latin-1") for value in response.headers.getlist(name)]
            for name in response.headers
        }
        kept = {"url": response.url, "status": response.status, "at": time.time(), "headers": headers}
        path = self._path(request)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(kept).encode() + b"\n" + response.body)


class ListingPolicy(RFC2616Policy):
    """RFC 2616 without heuristics; pages of a resumed crawl are fresh (HTTPCACHE_POLICY)."""

    def __init__(self, settings: BaseSettings) -> None:
        super().__init__(settings)
        self._since = settings.getfloat("DERLEM_CRAWL_STARTED")

    def should_cache_response(self, response: Response, request: Request) -> bool:
        """Return whether a response is a page or a permanent redirect and allows storage."""
        directives = parse_cachecontrol(b",".join(response.headers.getlist("Cache-Control")))
        return b"no-store" not in directives and response.status in (200, 301, 308)

    def is_cached_response_fresh(self, cachedresponse: Response, request: Request) -> bool:
        """Return whether this crawl fetched the page, or the server declared the page fresh."""
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
        """Return whether the server answered 304 (not modified)."""
        return response.status == 304


class ListingCacheMiddleware(HttpCacheMiddleware):
    """Scrapy's middleware without stale responses in place of errors."""

    def process_exception(self, request: Request, exception: Exception, spider: Spider | None = None) -> None:
        """Drop the stale response: a failed request stays a failure."""
        request.meta.pop("cached_response", None)
