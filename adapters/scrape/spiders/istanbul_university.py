"""Istanbul University's archive "Gazeteden Tarihe Bakis": an index of titles, year tables for each."""

from __future__ import annotations

import re
from collections.abc import Iterator

from parsel import Selector
from scrapy.http import TextResponse

from ....catalog.status import Reason
from .base import ArchiveSpider, Found
from .documents import Unread

_YEAR = re.compile(r"(?<!\d)(?:1[5-9]|20)\d\d(?!\d)")
_YEAR_OF_ROW = (
    "ancestor::div[contains(concat(' ', normalize-space(@class), ' '), ' content ')][1]"
    "/preceding-sibling::button[contains(@class, 'collapsible')][1]"
)
_CAPTION_BESIDE = "ancestor::div[contains(@class, 'col-')][1]//span[contains(@class, 'caption')]"


class IstanbulUniversity(ArchiveSpider):
    """Every issue in every year table of every title.

    Dates stand in words, in the spelling of their time and of their typists; where a cell names
    no day, the PDF's name often does. What cannot be read is kept as it is.
    """

    name = "istanbul_university"
    fields = frozenset({"slug"})
    encoding = "windows-1254"
    follows_rules = False

    def parse(self, response: TextResponse) -> Iterator[Found]:  # type: ignore[override]  # it is text
        """The index: a card for each title."""
        cards = response.css("a.popular-category[href]")
        if not cards:
            yield Unread(response.url, Reason.PROTOCOL, "an index without titles")
        for card in cards:
            link = card.attrib["href"]
            caption = card.css("span.caption") or card.xpath(_CAPTION_BESIDE)
            slug = re.search(r"[?&]gazete=([^&#]+)", link)
            fields = {"title": _text(caption), "slug": slug.group(1).strip() if slug else None}
            yield self.listing(
                response.urljoin(link.strip()),
                self.parse_title,
                source_page=response.url,
                cb_kwargs={"fields": fields},
            )

    def parse_title(self, response: TextResponse, fields: dict[str, str | None]) -> Iterator[Found]:
        """A title: a table for each year. Date and link belong together only within one row."""
        listed = False
        for row in response.xpath("//tr"):
            year = _YEAR.search(_text(row.xpath(_YEAR_OF_ROW)) or "")
            for date_text, link in _pairs(row):
                document = self.document(
                    response,
                    link,
                    **fields,
                    date_text=date_text,
                    year=int(year.group()) if year else None,
                    date_in_name=True,
                )
                if document is not None:
                    listed = True
                    yield document
        if not listed:
            yield Unread(
                response.url, Reason.PROTOCOL, "a title without issues", response.meta["source_page"]
            )


def _pairs(row: Selector) -> Iterator[tuple[str | None, str]]:
    """The PDF links of a row, each with the date cell before it; a stray date after the last is nothing."""
    date_text = None
    for cell in row.xpath("./td | ./th"):
        if "tm-text-left" in cell.attrib.get("class", "").split():
            date_text = _text([cell]) or date_text
        for link in cell.xpath(".//a/@href").getall():
            if ".pdf" in link.lower():
                yield date_text, link


def _text(found: list[Selector]) -> str | None:
    return " ".join((found[0].xpath("string()").get() or "").split()) or None if found else None
