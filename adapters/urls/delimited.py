"""Reads records of CSV and TSV files; a malformed record does not affect other records.

CSV follows RFC 4180. An unclosed quote would include all following rows; such a record is reported, and
reading continues with the next line. In a TSV file, quotes are text, unless a field requires quotes (for a
doubled quote, a tab or a line break) or the header is quoted.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

DELIMITERS = (",", ";", "\t", "|")
"""Candidates for a guessed delimiter, the most common first."""

DelimiterOption = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=1,
        description="of csv; default: the one of , ; tab | that splits the header into the names of columns",
    ),
]
"""The option `delimiter` of a source; None: `guess_delimiter` chooses."""

MAX_RECORD = 2**18
"""Maximum characters of a record; a longer record has an unclosed quote."""

UNCLOSED = "a quote that is never closed"

_URL = re.compile(r"\s*\"?\s*https?://", re.IGNORECASE)

csv.field_size_limit(2**30)  # MAX_RECORD bounds records


def guess_delimiter(header: str, wanted: Sequence[str]) -> str:
    """Return the delimiter of a header line: the first that splits out all `wanted` names, else a comma."""
    for delimiter in DELIMITERS:
        names = _lenient(header, delimiter)
        if all(name in names for name in wanted):
            return delimiter
    return DELIMITERS[0]


class Delimited:
    """A file of records with delimited fields. The first record contains the names."""

    def __init__(self, lines: Iterator[str], *, delimiter: str, url: str, raw: bool) -> None:
        """`url` names the column of URLs; `raw` reads quotes as text (TSV)."""
        self._lines = lines
        self._waiting: deque[str] = deque()
        self._delimiter, self._raw = delimiter, False
        self._quoted_header = False
        self._number = 0
        self._url = -1
        header = next(self._records(), (0, []))[1]
        self.names: list[str] = header if isinstance(header, list) else []
        self._raw = raw and not self._quoted_header
        self._url = self.names.index(url) if url in self.names else -1

    def rows(self) -> Iterator[tuple[int, list[str] | str]]:
        """Yield each record's last line number (from 1) and its fields, or an error message."""
        width = len(self.names)
        for number, fields in self._records():
            if isinstance(fields, list) and len(fields) != width:
                yield number, f"{len(fields)} fields instead of {width}"
            else:
                yield number, fields

    def _records(self) -> Iterator[tuple[int, list[str] | str]]:
        while (line := self._next()) is not None:
            first = not self._number
            self._number += 1
            text = line.rstrip("\r\n")
            if first:
                self._quoted_header = text.startswith('"')
            if not text:
                continue
            if '"' not in text:
                yield self._number, text.split(self._delimiter)
                continue
            taken: list[str] = []
            fields = self._strict(line, taken)
            if fields is not None:
                self._number += len(taken)
                yield self._number, self._as_text(text, fields) if not taken else fields
                continue
            self._waiting.extendleft(reversed(taken))
            if self._raw:
                yield self._number, text.split(self._delimiter)
            else:
                yield self._number, UNCLOSED if _is_open(line, self._delimiter) else self._split(line)

    def _next(self) -> str | None:
        return self._waiting.popleft() if self._waiting else next(self._lines, None)

    def _strict(self, line: str, taken: list[str]) -> list[str] | None:
        """Return the fields of the record that begins with `line`, by RFC 4180; None if malformed.

        The additional lines of the record are appended to `taken`.
        """

        def source() -> Iterator[str]:
            yield line
            size = len(line)
            while size < MAX_RECORD and (more := self._next()) is not None:
                taken.append(more)
                size += len(more)
                yield more

        try:
            fields = next(csv.reader(source(), delimiter=self._delimiter, strict=True))
        except csv.Error:
            return None
        return None if any(self._is_row(more) for more in taken) else fields

    def _is_row(self, line: str) -> bool:
        """Return whether a line inside a quoted field is a separate row: a URL is in the URL column."""
        fields = line.rstrip("\r\n").split(self._delimiter)
        return 0 <= self._url < len(fields) == len(self.names) and _URL.match(fields[self._url]) is not None

    def _as_text(self, text: str, fields: list[str]) -> list[str]:
        """Return the fields of a TSV line: as written, except fields that require quotes."""
        if not self._raw:
            return fields
        plain = text.split(self._delimiter)
        if len(plain) != len(fields):
            return fields  # a quoted tab
        return [
            parsed if field.startswith('"') and '""' in field[1:-1] else field
            for field, parsed in zip(plain, fields, strict=True)
        ]

    def _split(self, line: str) -> list[str]:
        return _lenient(line, self._delimiter)


def _lenient(line: str, delimiter: str) -> list[str]:
    """Return the fields of one line, with or without valid quotes."""
    return next(csv.reader([line], delimiter=delimiter), [])


def _is_open(line: str, delimiter: str) -> bool:
    """Return whether a line ends inside a quoted field."""
    try:
        list(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return True
