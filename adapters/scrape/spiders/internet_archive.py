"""Spider for the Internet Archive: searches for items and reads the files of each item from its metadata.

Formats: archive.org/help/aboutsearch.htm and the metadata API. A search returns `response.docs` in pages
up to the 10,000th result; the scraping interface returns longer results in pages by a cursor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from pydantic import Field
from scrapy.http import TextResponse

from ....catalog.status import Reason
from .base import ArchiveSpider, Found, SpiderOptions
from .documents import Unread
from .parsing import first, listed, plain

ROWS = 100
DEEPEST = 10_000
"""The search rejects results beyond this number; longer results come from the scraping interface."""


class InternetArchiveOptions(SpiderOptions):
    """Selects the files of an item."""

    formats: tuple[str, ...] = Field(
        default=("Image Container PDF", "Text PDF", "PDF"),
        description="the archive's names of file formats; the first format that an item has is used",
    )


class InternetArchive(ArchiveSpider):
    """Yields a document for each file of the selected format in each item found.

    `start` is a search (`https://archive.org/advancedsearch.php?q=...`, `https://archive.org/search?query=...`)
    or a collection's page (`https://archive.org/details/NAME`).
    """

    name = "internet_archive"
    fields = frozenset({"identifier", "volume", "creator"})
    follows_rules = False
    Options = InternetArchiveOptions
    options: InternetArchiveOptions

    @classmethod
    def start_url(cls, url: str) -> str:
        """Return the URL of the first page of the search, for a search or a collection's page."""
        parts = urlsplit(url)
        parameters = dict(parse_qsl(parts.query))
        name = re.fullmatch(r"/details/([^/]+)/?", parts.path)
        query = (
            f"collection:{name.group(1)}" if name else parameters.get("q") or parameters.get("query") or ""
        )
        return _search(url, query, 1)

    def parse(self, response: TextResponse) -> Iterator[Found]:  # type: ignore[override]  # always a TextResponse
        """Follow the items of a page of search results."""
        found = response.json()["response"]
        parameters = dict(parse_qsl(urlsplit(response.url).query))
        if int(found["numFound"]) > DEEPEST:
            yield self.listing(
                _scraping(response.url, parameters["q"], None), self.parse_scraped, source_page=response.url
            )
            return
        for doc in found.get("docs") or ():
            yield self._item(response, doc["identifier"])
        page = int(parameters["page"])
        if page * ROWS < int(found["numFound"]):
            yield self.listing(
                _search(response.url, parameters["q"], page + 1), self.parse, source_page=response.url
            )

    def parse_scraped(self, response: TextResponse) -> Iterator[Found]:
        """Follow the items of a page of the scraping interface."""
        found = response.json()
        for item in found.get("items") or ():
            yield self._item(response, item["identifier"])
        if found.get("cursor"):
            query = dict(parse_qsl(urlsplit(response.url).query))["q"]
            yield self.listing(
                _scraping(response.url, query, found["cursor"]), self.parse_scraped, source_page=response.url
            )

    def parse_item(self, response: TextResponse, identifier: str) -> Iterator[Found]:
        """Yield the documents of an item, with its metadata."""
        item = response.json()
        metadata = item.get("metadata") or {}
        files = listed(item.get("files"))
        for wanted in self.options.formats:
            names = [str(file["name"]) for file in files if file.get("format") == wanted]
            if names:
                break
        else:
            why = (
                "the item is dark" if item.get("is_dark") else f"no file in {', '.join(self.options.formats)}"
            )
            yield Unread(response.url, Reason.NO_IMAGE, why, response.meta.get("source_page"))
            return
        fields = {
            "title": plain(first(metadata.get("title"))),
            "date_text": first(metadata.get("date")) or first(metadata.get("year")),
            "issue": first(metadata.get("issue")) or first(metadata.get("number")),
            "volume": first(metadata.get("volume")),
            "language": first(metadata.get("language")),
            "rights": first(metadata.get("licenseurl")) or plain(first(metadata.get("rights"))),
            "creator": plain(first(metadata.get("creator"))),
            "identifier": identifier,
        }
        for name in names:
            document = self.document(response, f"/download/{quote(identifier)}/{quote(name)}", **fields)
            if document is not None:
                yield document

    def _item(self, response: TextResponse, identifier: str) -> Found:
        return self.listing(
            response.urljoin(f"/metadata/{quote(identifier)}"),
            self.parse_item,
            source_page=response.url,
            cb_kwargs={"identifier": identifier},
        )


def _search(url: str, query: str, page: int) -> str:
    """Return the URL of a page of results, sorted by name so that no item moves between pages."""
    parameters = {"q": query, "fl[]": "identifier", "sort[]": "identifier asc", "rows": ROWS}
    return _at(url, "/advancedsearch.php", parameters | {"page": page, "output": "json"})


def _scraping(url: str, query: str, cursor: str | None) -> str:
    parameters = {"q": query, "fields": "identifier", "sorts": "identifier", "count": 1000}
    return _at(url, "/services/search/v1/scrape", parameters | ({"cursor": cursor} if cursor else {}))


def _at(url: str, path: str, parameters: Mapping[str, object]) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, path, urlencode(parameters), ""))
