"""Options of a crawl: the rules declared by the source, and the specification of the spider's process."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from ...core.options import StrictModel


def _compiles(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


Regex = Annotated[str, AfterValidator(_compiles)]


class Selection(StrictModel):
    """Selects elements of a page by CSS or XPath, or links by a regular expression over their URL.

    A bare string is CSS.
    """

    css: str | None = None
    xpath: str | None = None
    regex: Regex | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        return {"css": str(value)} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_one(self) -> Selection:
        if sum(way is not None for way in (self.css, self.xpath, self.regex)) != 1:
            raise ValueError("give exactly one of css, xpath and regex")
        return self


class DocumentRule(Selection):
    """Selects the documents of a page: links, or blocks (a row, a card) that contain `link`."""

    link: Selection | None = Field(default=None, description="the link in each block; default: its own link")


class FieldRule(StrictModel):
    """Reads one metadata field: from text, by CSS or XPath and a regular expression; or a fixed value.

    `of` names the searched text: the `document`'s block or link, the whole `page`, or the document's
    `url` (unescaped; by regex only). A bare string is CSS over the page.
    """

    css: str | None = None
    xpath: str | None = None
    regex: Regex | None = Field(
        default=None, description="the field is the first group, or else the whole match"
    )
    value: str | None = None
    of: Literal["document", "page", "url"] = "document"

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        return {"css": str(value), "of": "page"} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_one_way(self) -> FieldRule:
        ways = [way for way in (self.css, self.xpath, self.value) if way is not None]
        if len(ways) > 1 or not (ways or self.regex):
            raise ValueError("give one of css, xpath and value, or a regex (alone or over css or xpath)")
        if self.of == "url" and ways:
            raise ValueError("a url is searched by regex alone")
        return self


class CrawlSpec(StrictModel):
    """The specification of a spider's process: identity of the crawl, rules, and request limits."""

    source: str
    spider: str
    start: tuple[str, ...]
    category: str = ""
    follow: tuple[Selection, ...] = ()
    documents: tuple[DocumentRule, ...] = ()
    metadata: dict[str, FieldRule] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    encoding: str | None = None
    listings: Path = Field(description="folder of the HTTP cache for listings")
    user_agent: str
    obey_robots: bool = True
    concurrency: int = Field(default=1, description="concurrent requests to one host")
    delay: float = Field(default=0.0, description="seconds between two requests to a host")
    paces: dict[str, tuple[int, float]] = Field(
        default={}, description="concurrency and delay of named hosts"
    )
    retries: int = 2
    backoff: float = Field(default=1.0, description="seconds before the first retry; doubles")
    max_wait: float = Field(
        default=300.0, description="maximum pause of a host, in seconds; a longer pause ends the host's crawl"
    )
    timeout: float = 60.0
    maximum_bytes: int = 64 * 2**20
    allow_private: tuple[str, ...] = Field(default=(), description="allowed private networks")
    verify_certificates: bool = True
