"""The rule-driven spider, and base class of the spiders for archives that rules cannot describe."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from parsel import Selector, SelectorList
from pydantic import ValidationError
from scrapy import Request, Spider
from scrapy.http import Response, TextResponse
from twisted.python.failure import Failure

from ....catalog.status import Reason
from ....core.errors import ConfigError, first_problem
from ....core.options import StrictModel
from ..listing_failures import reason_of
from ..rules import CrawlSpec, DocumentRule, FieldRule, Selection
from .documents import FIELDS, Document, Unread
from .parsing import absolute

Found = Request | Document | Unread
Callback = Callable[..., Iterator[Found]]


class SpiderOptions(StrictModel):
    """Base class of a spider's options (`options:` of its source)."""


class ArchiveSpider(Spider):
    """Crawls an archive by rules: `start` pages, links to `follow`, `documents` to list, `metadata` to read.

    This class is the spider `rules`, configured by the source. A subclass may set rules as class
    attributes (the configuration overrides them), or override `parse`: yield `self.listing(url, ...)`
    for a page to read and `self.document(...)` for a document. All of Scrapy is available. Pages that
    cannot be read are reported automatically.
    """

    name = "rules"
    follow: Sequence[Selection] = ()
    documents: Sequence[DocumentRule] = ()
    metadata: Mapping[str, FieldRule] = {}
    fields: ClassVar[frozenset[str]] = frozenset()
    """Metadata fields of this spider in addition to `FIELDS`."""
    encoding: str | None = None
    """Encoding of pages that declare none and are not UTF-8; None uses Scrapy's guess."""
    follows_rules: ClassVar[bool] = True
    """Whether `parse` uses `follow` and `documents`."""
    pace: ClassVar[Mapping[str, float]] = {}
    """Seconds between two requests to a host, from an archive's published limits; the slower rate wins."""
    Options: ClassVar[type[SpiderOptions]] = SpiderOptions

    def __init__(self, spec: CrawlSpec) -> None:
        """Apply the specification; ConfigError if its rules or options do not match this spider."""
        super().__init__()
        self.spec = spec
        self.start_urls = [self.start_url(url) for url in spec.start]
        self.encoding = spec.encoding or self.encoding
        self.follow = spec.follow or self.follow
        self.documents = spec.documents or self.documents
        self.metadata = {**self.metadata, **spec.metadata}
        try:
            self.options = self.Options.model_validate(spec.options)
        except ValidationError as error:
            raise ConfigError(first_problem(error), key="options") from error
        self._check_rules()

    def _check_rules(self) -> None:
        if self.follows_rules and not self.documents:
            raise ConfigError(f"the spider {self.name!r} needs a rule for documents", key="documents")
        if not self.follows_rules:
            for key in ("follow", "documents"):
                if getattr(self.spec, key):
                    raise ConfigError(f"the spider {self.name!r} takes no rules", key=key)
            if any(rule.value is None for rule in self.metadata.values()):
                raise ConfigError(
                    f"the spider {self.name!r} reads its metadata itself; only a fixed `value` can be added",
                    key="metadata",
                )

    @classmethod
    def start_url(cls, url: str) -> str:
        """Return the first URL to request for one entry of `start`."""
        return url

    @property
    def template_fields(self) -> frozenset[str]:
        """All fields available to a category template."""
        return FIELDS | self.fields | frozenset(self.metadata)

    async def start(self) -> AsyncIterator[Any]:
        """Request the start pages."""
        for url in self.start_urls:
            yield self.listing(url, self.parse, dont_filter=True)

    def parse(self, response: Any) -> Iterator[Found]:
        """Yield the documents of a page and follow its links by the rules, except links to other hosts."""
        if not isinstance(response, TextResponse):
            yield Unread(
                response.url, Reason.PROTOCOL, "the listing is not text", response.meta.get("source_page")
            )
            return
        for rule in self.documents:
            yield from self._documents(response, rule)
        for selection in self.follow:
            for link in _links(response, selection, None):
                url = absolute(_base_url(response), link, response.encoding)
                if url is not None and self._is_ours(url, response.url):
                    yield self.listing(url, self.parse, source_page=response.url)

    def listing(
        self, url: str, callback: Callback, *, source_page: str | None = None, **options: Any
    ) -> Request:
        """Return a request for a page to read with `callback`; `options` go to `scrapy.Request`."""
        meta = {"source_page": source_page, **options.pop("meta", {})}
        return Request(url, callback=callback, errback=self.unread, meta=meta, **options)

    def document(self, response: Response, link: str, **metadata: Any) -> Document | None:
        """Return the document at `link` on this page; None if `link` is not an http(s) link.

        `metadata` are fields of `Document`; fixed values of the configuration's `metadata` override them.
        """
        url = absolute(_base_url(response), link, getattr(response, "encoding", None) or "utf-8")
        if url is None:
            return None
        fixed = {name: rule.value for name, rule in self.metadata.items() if rule.value is not None}
        return _document(url, response.url, metadata | fixed)

    def unread(self, failure: Failure) -> Iterator[Unread]:
        """Report a page that could not be fetched."""
        request: Request = failure.request  # type: ignore[attr-defined]  # set by Scrapy
        error = failure.value
        assert error is not None  # a failure always has an exception
        yield Unread(request.url, reason_of(error), str(error), request.meta.get("source_page"))

    def _is_ours(self, url: str, page: str) -> bool:
        """Return whether a link stays in the archive: on a host of `start`, or on the host of its page."""
        hosts = {urlsplit(known).hostname for known in (*self.start_urls, page)}
        return urlsplit(url).hostname in hosts

    def _documents(self, response: TextResponse, rule: DocumentRule) -> Iterator[Found]:
        for block, link in _blocks(response, rule):
            url = absolute(_base_url(response), link, response.encoding)
            if url is None:
                continue
            fields: dict[str, Any] = {}
            for name, field in self.metadata.items():
                value = _field(field, response, block, url)
                if value:
                    fields["date_text" if name == "date" else name] = value
            yield _document(url, response.url, fields)


def _document(url: str, page: str, fields: Mapping[str, Any]) -> Document:
    own = {name: value for name, value in fields.items() if name in Document.__dataclass_fields__}
    extra = {name: str(value) for name, value in fields.items() if name not in own and value is not None}
    return Document(url=url, source_page=page, **own, extra={**own.pop("extra", {}), **extra})


def _base_url(response: Response) -> str:
    """Return the base of relative links: the page's `<base href>`, or else its URL."""
    if isinstance(response, TextResponse) and b"<base" in response.body[:4096].lower():
        stated = response.xpath("//base/@href").get()
        return (stated and absolute(response.url, stated, response.encoding)) or response.url
    return response.url


def _select(root: TextResponse | Selector, selection: Selection | FieldRule) -> SelectorList[Selector]:
    return root.css(selection.css) if selection.css is not None else root.xpath(selection.xpath or ".")


def _links(response: TextResponse, selection: Selection, block: Selector | None) -> Iterator[str]:
    """Yield the selected links: href or src of elements, or the text of `::attr(...)`, `@...`."""
    root = response if block is None else block
    if selection.regex is not None:
        pattern = re.compile(selection.regex)
        for link in root.xpath(".//a/@href | self::a/@href").getall():
            url = absolute(_base_url(response), link, response.encoding)
            if url is not None and (pattern.search(url) or pattern.search(unquote(url))):
                yield link
        return
    for found in _select(root, selection):
        own = _own_link(found)
        if own is not None:
            yield own


def _own_link(found: Selector) -> str | None:
    return found.root if isinstance(found.root, str) else found.xpath("@href | @src").get()


def _blocks(response: TextResponse, rule: DocumentRule) -> Iterator[tuple[Selector, str]]:
    if rule.link is None and rule.regex is not None:
        for anchor in response.xpath("//a[@href]"):
            for link in _links(response, rule, anchor):
                yield anchor, link
        return
    for block in _select(response, rule):
        if rule.link is None:
            own = _own_link(block)
            if own is not None:
                yield block, own
        else:
            for link in _links(response, rule.link, block):
                yield block, link


def _field(rule: FieldRule, response: TextResponse, block: Selector, url: str) -> str | None:
    if rule.value is not None:
        return rule.value
    if rule.of == "url" or (rule.of == "document" and isinstance(block.root, str)):
        text = unquote(url)
    else:
        root: TextResponse | Selector = response if rule.of == "page" else block
        if rule.css is None and rule.xpath is None:
            text = response.text if rule.of == "page" else _text(block)
        else:
            found = _select(root, rule)
            if not found:
                return None
            text = _text(found[0])
    if rule.regex is not None:
        match = re.search(rule.regex, text)
        if match is None:
            return None
        text = (match.group(1) if match.re.groups else match.group()) or ""
    return " ".join(text.split()) or None


def _text(found: Selector) -> str:
    """Return the text of an element with its descendants, or of a selected attribute or text node."""
    if isinstance(found.root, str):
        return found.root
    return found.xpath("string()").get() or ""
