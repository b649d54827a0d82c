"""The rules that a source declares, and the specification that the spider's process gets."""

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
    """Picks elements of a page by CSS, by XPath, or links by a regular expression over their URL.

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
    def _says_one(self) -> Selection:
        if sum(way is not None for way in (self.css, self.xpath, self.regex)) != 1:
            raise ValueError("give exactly one of css, xpath and regex")
        return self


class DocumentRule(Selection):
    """Picks the documents of a page: the links themselves, or blocks (a row, a card) that hold `link`."""

    link: Selection | None = Field(default=None, description="the link inside each block; default: its own")


class FieldRule(StrictModel):
    """Where one metadata field is read: text by CSS or XPath, cut by a regular expression; or a fixed value.

    `of` is what is searched: the `document`'s block or link, the whole `page`, or the document's `url`
    (unescaped; for a regex alone). A bare string is CSS over the page.
    """

    css: str | None = None
    xpath: str | None = None
    regex: Regex | None = Field(default=None, description="its first group, or else the whole match")
    value: str | None = None
    of: Literal["document", "page", "url"] = "document"

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        return {"css": str(value), "of": "page"} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _says_where(self) -> FieldRule:
        ways = [way for way in (self.css, self.xpath, self.value) if way is not None]
        if len(ways) > 1 or not (ways or self.regex):
            raise ValueError("give one of css, xpath and value, or a regex (alone or over css or xpath)")
        if self.of == "url" and ways:
            raise ValueError("a url is searched by regex alone")
        return self


class CrawlSpec(StrictModel):
    """What a spider's process needs: first what identifies the crawl, then its request limits."""

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
    concurrency: int = Field(default=1, description="requests under way to one host")
    delay: float = Field(default=0.0, description="seconds between two requests to a host")
    paces: dict[str, tuple[int, float]] = Field(
        default={}, description="concurrency and delay of named hosts"
    )
    retries: int = 2
    backoff: float = Field(default=1.0, description="seconds before the first retry; doubles")
    max_wait: float = Field(
        default=300.0, description="longest pause of a host that a crawl waits for, in seconds"
    )
    timeout: float = 60.0
    maximum_bytes: int = 64 * 2**20
    allow_private: tuple[str, ...] = Field(default=(), description="private networks that may be visited")
    verify_certificates: bool = True
