"""Spider for Istanbul University's archive "Gazeteden Tarihe Bakis": an index of titles with year tables."""

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
    """Yields every issue in every year table of every title.

    Dates are written in words, with historical spellings and typing errors; where a cell has no day, the
    name of the PDF file often has one. Dates that cannot be parsed are kept as text.
    """

    name = "istanbul_university"
    fields = frozenset({"slug"})
    encoding = "windows-1254"
    follows_rules = False

    def parse(self, response: TextResponse) -> Iterator[Found]:  # type: ignore[override]  # always a TextResponse
        """Follow the cards of the index, one for each title."""
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
        """Yield the issues of a title, which has a table for each year. Dates and links are paired by row."""
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
    """Yield the PDF links of a row, each with the date cell before the link; a last date alone is ignored."""
    date_text = None
    for cell in row.xpath("./td | ./th"):
        if "tm-text-left" in cell.attrib.get("class", "").split():
            date_text = _text([cell]) or date_text
        for link in cell.xpath(".//a/@href").getall():
            if ".pdf" in link.lower():
                yield date_text, link


def _text(found: list[Selector]) -> str | None:
    return " ".join((found[0].xpath("string()").get() or "").split()) or None if found else None
