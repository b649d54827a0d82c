"""Spider for the newspapers of the Library of Congress, through its JSON interface.

Formats: loc.gov/apis/json-and-yaml and the Library's notebooks for Chronicling America. A search has
`results` and `pagination.next`; an item has `resources[].files[page][]`; a resource has one page's files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import Field
from scrapy.http import TextResponse

from ....catalog.status import Reason
from .base import ArchiveSpider, Found, SpiderOptions
from .documents import Unread
from .parsing import first, plain

PAGE_SIZE = 100


class LocOptions(SpiderOptions):
    """Selects the file of each newspaper page."""

    mimetype: str = Field(default="application/pdf", description="application/pdf, image/jp2 or image/jpeg")


class LocNewspapers(ArchiveSpider):
    """Yields a document for each newspaper page that a search finds.

    `start` is the URL of a search on the site (`.../collections/chronicling-america/?...`). A search with
    `dl=page` returns pages; any other search returns issues, and all pages of each issue are read.
    """

    name = "loc_newspapers"
    fields = frozenset({"page", "lccn"})
    follows_rules = False
    Options = LocOptions
    # The site blocks an address for five minutes after more than 20 requests a minute for newspapers.
    pace = MappingProxyType({"www.loc.gov": 3.2})
    options: LocOptions

    @classmethod
    def start_url(cls, url: str) -> str:
        """Return the URL of the search as JSON, restricted to results and pagination."""
        return _with_query(url, {"fo": "json", "c": str(PAGE_SIZE), "at": "results,pagination"})

    def parse(self, response: TextResponse) -> Iterator[Found]:  # type: ignore[override]  # always a TextResponse
        """Follow the records of a page of results."""
        listing = response.json()
        for result in listing.get("results") or ():
            kinds = set(result.get("original_format") or ())
            address = str(result.get("id") or "")
            if kinds & {"collection", "web page"} or not re.search(r"/(item|resource)/", address):
                continue
            yield self.listing(
                _with_query(_like(address, response.url), {"fo": "json"}),
                self.parse_record,
                source_page=response.url,
                cb_kwargs={"address": address},
            )
        following = (listing.get("pagination") or {}).get("next")
        if following:
            yield self.listing(
                self.start_url(_like(following, response.url)), self.parse, source_page=response.url
            )

    def parse_record(self, response: TextResponse, address: str) -> Iterator[Found]:
        """Yield all pages of an issue, or one page."""
        record = response.json()
        item: Mapping[str, Any] = record.get("item") or {}
        if "/resource/" in address:
            number = (record.get("pagination") or {}).get("current") or first(item.get("number_page"))
            pages = {str(number or "1").lstrip("0"): record.get("page") or ()}
        else:
            files = [
                page for resource in record.get("resources") or () for page in resource.get("files") or ()
            ]
            pages = {str(number): page for number, page in enumerate(files, 1)}
        fields = {
            "title": plain(first(item.get("newspaper_title")) or first(item.get("partof_title"))),
            "date_text": first(item.get("date")) or first(item.get("date_issued")),
            "issue": _edition(address, item),
            "language": first(item.get("language")),
            "rights": plain(
                first(item.get("rights"))
                or first(item.get("rights_advisory"))
                or first(item.get("rights_information"))
            ),
            "lccn": first(item.get("number_lccn")),
        }
        if not pages:
            yield Unread(
                response.url, Reason.NO_IMAGE, "a record without pages", response.meta["source_page"]
            )
        for number, page in pages.items():
            # The last file of a type is the largest, which the Library's notebooks select, too.
            urls = [
                file["url"]
                for file in page
                if file.get("mimetype") == self.options.mimetype and file.get("url")
            ]
            document = self.document(response, urls[-1], **fields, page=number) if urls else None
            yield document or Unread(
                f"{address}#page={number}",
                Reason.NO_IMAGE,
                f"no file of type {self.options.mimetype}",
                response.url,
            )


def _edition(address: str, item: Mapping[str, Any]) -> str | None:
    stated = first(item.get("number_edition"))
    found = re.search(r"/ed-(\d+)", address)
    number = stated or (found.group(1) if found else None)
    return f"ed-{number}" if number else None


def _with_query(url: str, parameters: Mapping[str, str]) -> str:
    """Return the URL with these query parameters, which replace parameters of the same names."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query, True) if name not in parameters]
    return urlunsplit(parts._replace(query=urlencode([*kept, *parameters.items()], safe=":,/"), fragment=""))


def _like(url: str, page: str) -> str:
    """Return the URL with the scheme and host of its page: records contain http URLs, the site uses https."""
    there, here = urlsplit(url, "https"), urlsplit(page)
    if there.hostname != here.hostname:
        return url
    return urlunsplit(there._replace(scheme=here.scheme, netloc=here.netloc))
