"""The `scrape` adapter: a spider lists the documents of an archive, the shared fetcher downloads them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import ByteSize, Field, field_validator

from ... import __version__
from ...catalog.models import Failure, Item, Payload
from ...catalog.status import Reason
from ...core.errors import ConfigError, DerlemError, MissingExtra
from ..base import Adapter, Partitioning, SourceOptions
from ..http.fetch_options import HostLimits, SourceLimits, limits_for
from ..http.fetcher import Fetcher
from ..http.urls import UrlError, host_of
from .process import Record, SpiderProcess
from .rules import CrawlSpec, DocumentRule, FieldRule, Selection

logger = logging.getLogger("derlem.scrape")

DOCUMENT_BYTES = ByteSize(512 * 2**20)
DOCUMENT_SECONDS = 600.0
"""Limits of one document where the source declares none: a newspaper volume is larger than a photograph."""

BATCH = 500
BATCH_SECONDS = 2.0
"""A batch is delivered at this many items, or when its first item is this old."""


class CrawlIncomplete(DerlemError):
    """Some listings failed with a transient reason; the next run reads only these listings.

    All other items were delivered. `listings` are pairs of a URL and a reason.
    """

    def __init__(self, source: str, listings: Sequence[tuple[str, str]]) -> None:
        self.source, self.listings = source, list(listings)
        listed = "".join(f"\n  {url}: {why}" for url, why in self.listings[:10])
        more = f"\n  and {len(self.listings) - 10} more" if len(self.listings) > 10 else ""
        super().__init__(
            f"{len(self.listings)} listings of source {source!r} could not be read; "
            f"run again to read them:{listed}{more}"
        )


class ScrapeOptions(SourceOptions):
    """A public archive and the spider that lists it."""

    adapter: Literal["scrape"]
    spider: str = Field(
        description="`rules` (follows the rules below), `istanbul_university`, `loc_newspapers`, `iiif`,"
        " `internet_archive`, or any other as package.module:Class"
    )
    start: tuple[str, ...] = Field(min_length=1, description="start pages: one URL or several")
    follow: tuple[Selection, ...] = Field(
        default=(), description="links to more listings: css, xpath or regex"
    )
    documents: tuple[DocumentRule, ...] = Field(
        default=(), description="links to documents, or blocks with such a link"
    )
    metadata: dict[str, FieldRule] = Field(
        default={}, description="rules for title, date, issue, language, rights or any other field"
    )
    options: dict[str, Any] = Field(default={}, description="options of the spider")
    encoding: str | None = Field(
        default=None, description="encoding of pages that declare none and are not UTF-8"
    )
    limits: SourceLimits = Field(
        default=SourceLimits(), description="request rate and sizes, for listings and documents"
    )
    verify_certificates: bool = Field(
        default=True,
        description="false only for an archive whose certificate is invalid; recorded with every item",
    )

    @field_validator("start", "follow", "documents", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, (str, dict)) else value

    @field_validator("start")
    @classmethod
    def _http(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not re.match(r"https?://[^/]", url):
                raise ValueError(f"not an http(s) URL: {url!r}")
        return value


class ScrapeAdapter(Adapter[ScrapeOptions]):
    """Discovers documents with a spider in a process of its own; reads them through the shared fetcher."""

    Options = ScrapeOptions
    partitioning = Partitioning.BY_WORKER
    complete = False
    texts_read = False
    limiting = ("limits",)

    def discover(self, source: ScrapeOptions) -> Iterator[list[Item]]:
        """Yield documents in batches as the spider finds them, each URL once.

        A listing with a permanent failure (404, forbidden by robots.txt) is an item with that reason.
        Raises CrawlFailed when the spider's process fails and CrawlIncomplete when listings failed with
        a transient reason, both after the last batch; ConfigError, before the first batch, when the
        rules or options do not match the spider.
        """
        crawl = _Crawl(source)
        with SpiderProcess(self._crawl_spec(source)) as process:
            for records in process.batches(BATCH, BATCH_SECONDS):
                items = [item for record in records for item in crawl.items(record)]
                if items:
                    yield items
        crawl.close()

    def read(self, source: ScrapeOptions, items: Iterable[Item]) -> Iterator[tuple[str, Payload | Failure]]:
        """Download the documents, PDF files or images, within the limits of their hosts."""
        own = source.limits
        limits = own.model_copy(
            update={
                "max_bytes": own.max_bytes or DOCUMENT_BYTES,
                "timeout": own.timeout or DOCUMENT_SECONDS,
            }
        )
        fetcher = Fetcher(self.context, limits, verify_certificates=source.verify_certificates)
        yield from fetcher.fetch(items)

    def _crawl_spec(self, source: ScrapeOptions) -> CrawlSpec:
        fetch = self.context.fetch
        named = {*fetch.hosts, *source.limits.hosts, *(urlsplit(url).hostname or "" for url in source.start)}
        paces = {host: _pace(limits_for(host, fetch, source.limits)) for host in named}
        concurrency, delay = _pace(source.limits.per_host.over(fetch.per_host))
        return CrawlSpec(
            source=source.name,
            spider=source.spider,
            start=source.start,
            category=source.category,
            follow=source.follow,
            documents=source.documents,
            metadata=source.metadata,
            options=source.options,
            encoding=source.encoding,
            listings=self.context.notes / source.name,
            user_agent=fetch.agent(__version__),
            obey_robots="robots" in fetch.respect,
            concurrency=concurrency,
            delay=delay,
            paces=paces,
            retries=fetch.retries,
            backoff=fetch.backoff,
            max_wait=fetch.max_wait,
            timeout=fetch.timeouts.total,
            maximum_bytes=fetch.max_bytes,
            allow_private=tuple(map(str, fetch.allow_private)),
            verify_certificates=source.verify_certificates,
        )


def _pace(limits: HostLimits) -> tuple[int, float]:
    """Return the concurrency and the seconds between two requests. All limits must be set."""
    assert limits.concurrency is not None and limits.requests_per_second is not None
    return limits.concurrency, 1 / limits.requests_per_second


def _host(url: str) -> dict[str, Any]:
    """Return the host of a document as its partition key, or the reason for an invalid URL."""
    try:
        return {"partition_key": host_of(url)}
    except UrlError:
        return {"reason": Reason.BAD_URL}


class _Crawl:
    """Converts the records of one crawl to items, and counts documents and failed listings."""

    def __init__(self, source: ScrapeOptions) -> None:
        self._source = source
        self._seen: set[bytes] = set()
        self._missed: list[tuple[str, str]] = []
        self._unread: list[tuple[str, str]] = []
        self._documents = 0

    def items(self, record: Record) -> Iterator[Item]:
        """Yield the items for one record of the spider's process."""
        match record["kind"]:
            case "document":
                self._documents += 1
                yield from self._once(self._document(record))
            case "unread":
                yield from self._once(self._listing(record))
            case "broken":
                self._missed.append((record["uri"], record["detail"]))
            case "end":
                logger.info("source %s: %d pages read", self._source.name, record["pages"])
            case "misdeclared":
                raise ConfigError(record["message"], key=record["key"])
            case "missing":
                raise MissingExtra(f"the 'scrape' adapter ({record['module']})", "scrape")

    def close(self) -> None:
        """Raise CrawlIncomplete if listings failed."""
        if self._missed:
            raise CrawlIncomplete(self._source.name, self._missed)
        if self._unread and not self._documents:  # an unreadable archive is not an empty archive
            raise CrawlIncomplete(self._source.name, self._unread)

    def _document(self, record: Record) -> Item:
        meta = record["meta"] | {"spider": self._source.spider}
        if not self._source.verify_certificates:
            meta["certificates_verified"] = False
        language = str(meta.get("language") or "")
        return Item(
            source=self._source.name,
            uri=record["uri"],
            category=record["category"],
            language=language if re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]+)*", language) else None,
            meta=meta,
            **_host(record["uri"]),
        )

    def _listing(self, record: Record) -> Item | None:
        reason = Reason(record["reason"])
        why = f"{reason}: {record['detail']}"
        if reason.transient:
            self._missed.append((record["uri"], why))
            return None
        self._unread.append((record["uri"], why))
        details = {"listing": True, "detail": record["detail"], "source_page": record["source_page"]}
        return Item(
            source=self._source.name,
            uri=record["uri"],
            meta={name: value for name, value in details.items() if value},
            reason=reason,
        )

    def _once(self, item: Item | None) -> Iterator[Item]:
        """Yield the item unless an earlier record of this crawl had the same URL."""
        if item is None:
            return
        key = bytes.fromhex(item.item_id)
        if key not in self._seen:
            self._seen.add(key)
            yield item
