"""Results of a spider: documents with their metadata, and listings that could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ....catalog.status import Reason
from ...templates import Template
from .dates import PartialDate, read_date
from .parsing import file_name

FIELDS = frozenset(
    {"title", "date", "year", "month", "day", "issue", "language", "rights", "host", "source_page"}
)
"""Fields of every document that are available to a category template; a spider may add fields."""


@dataclass(slots=True, kw_only=True)
class Document:
    """A document (a PDF, an image) and its metadata from the archive.

    `date_text` is the date in the archive's spelling, kept even if it cannot be parsed; `year` comes from
    the context of the text. With `date_in_name`, the file name completes a date without month or day.
    """

    url: str
    source_page: str
    title: str | None = None
    date_text: str | None = None
    year: int | None = None
    issue: str | None = None
    language: str | None = None
    rights: str | None = None
    date_in_name: bool = False
    extra: dict[str, str] = field(default_factory=dict)

    def date(self) -> tuple[PartialDate | None, str | None]:
        """Return the date and its origin: `text`, `surroundings` or `file name`."""
        text = self.date_text or ""
        read = read_date(text, self.year)
        own = read is not None and (read.month is not None or read_date(text) is not None)
        where = None if read is None else "text" if own else "surroundings"
        if self.date_in_name:
            named = read_date(file_name(self.url), self.year)
            if named is not None and (read is None or named.refines(read)):
                return named, "file name"
        return read, where

    def record(self, category: Template) -> dict[str, Any]:
        """Return the document as one JSON object for the pipe: `uri`, `category` and `meta`."""
        read, where = self.date()
        columns = {
            "title": self.title,
            "date": read.iso if read else None,
            "date_precision": read.precision if read else None,
            "date_text": self.date_text,
            "date_source": where,
            "issue": self.issue,
            "language": self.language,
            "source_page": self.source_page,
            "rights": self.rights,
        }
        meta = {name: value for name, value in (columns | self.extra).items() if value not in (None, "")}
        fields: dict[str, Any] = {name: value for name, value in meta.items() if not name.startswith("date_")}
        fields["host"] = urlsplit(self.url).hostname
        if read is not None:
            fields["year"] = f"{read.year:04d}"
            fields["month"] = f"{read.month:02d}" if read.month else None
            fields["day"] = f"{read.day:02d}" if read.day else None
        return {"kind": "document", "uri": self.url, "category": category.render(fields), "meta": meta}


@dataclass(slots=True)
class Unread:
    """A listing that could not be read, with its reason code."""

    url: str
    reason: Reason
    detail: str = ""
    source_page: str | None = None

    def record(self) -> dict[str, Any]:
        """Return the failure as one JSON object for the pipe."""
        return {
            "kind": "unread",
            "uri": self.url,
            "reason": self.reason.value,
            "detail": self.detail,
            "source_page": self.source_page,
        }
