"""Reads lists of URLs row by row, in any supported format, with at most one batch in memory."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import itertools
import lzma
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, cast

import pyarrow as pa
import zstandard

from ..json_values import DECODER, checked
from . import parquet_rows
from .delimited import Delimited, guess_delimiter

BATCH = 10_000
"""Rows per batch."""

SAMPLE = 1_000
"""Rows from which the columns of a JSON list are derived."""

Format = Literal["txt", "csv", "tsv", "jsonl", "parquet"]

_FORMATS: dict[str, Format] = {
    ".txt": "txt",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}

_PACKED = (".gz", ".bz2", ".xz", ".zst")

UNREADABLE = (OSError, EOFError, lzma.LZMAError, zstandard.ZstdError, pa.ArrowException, csv.Error)
"""Exceptions of damaged lists. They include pa.ArrowMemoryError, which does not mean a damaged list."""


@dataclass(slots=True)
class Rows:
    """A batch of rows: numbers (from 1) with values by column, and numbers of invalid rows with errors."""

    good: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)

    def add(self, number: int, row: dict[str, Any] | str) -> None:
        """Add a row, or the error of an invalid row."""
        if isinstance(row, str):
            self.bad.append((number, row))
        else:
            self.good.append((number, row))


def format_of(path: Path) -> Format | None:
    """Return the format of a list by its name, compressed or not; None for an unknown name."""
    suffixes = path.suffixes
    if suffixes and suffixes[-1].lower() in _PACKED:
        suffixes.pop()
    return _FORMATS.get(suffixes[-1].lower()) if suffixes else None


@dataclass(frozen=True, slots=True)
class UrlList:
    """One list. `url` names its column of URLs, `texts` all mapped columns."""

    path: Path
    form: Format
    url: str = "url"
    texts: Collection[str] = ()
    delimiter: str | None = None
    """The delimiter of csv; None: guessed from the header."""

    def columns(self) -> list[str]:
        """Return the names of the columns; for JSON, of the first rows. Raises one of UNREADABLE."""
        if self.form == "txt":
            return ["url"]
        if self.form == "parquet":
            return parquet_rows.names_of(self.path)
        with open_text(self.path) as file:
            if self.form == "jsonl":
                names: dict[str, None] = {}
                for line in itertools.islice(file, SAMPLE):
                    names |= dict.fromkeys(_object(line) or ())
                return list(names)
            return self._delimited(file).names

    def rows(self) -> Iterator[Rows]:
        """Yield the rows in batches. Raises one of UNREADABLE after all readable rows."""
        batch = Rows()
        try:
            for number, row in self._rows():
                batch.add(number, row)
                if len(batch.good) + len(batch.bad) >= BATCH:
                    yield batch
                    batch = Rows()
        except UNREADABLE:
            if batch.good or batch.bad:
                yield batch
            raise
        if batch.good or batch.bad:
            yield batch

    def _rows(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        if self.form == "parquet":
            for rows in parquet_rows.rows(self.path, self.texts):
                yield from rows
            return
        with open_text(self.path) as file:
            if self.form == "txt":
                yield from _lines(file)
            elif self.form == "jsonl":
                yield from _objects(file)
            else:
                yield from self._records(file)

    def _records(self, file: IO[str]) -> Iterator[tuple[int, dict[str, Any] | str]]:
        table = self._delimited(file)
        for number, fields in table.rows():
            if isinstance(fields, str):
                yield number, fields
            elif not all(map(_is_text, fields)):
                yield number, parquet_rows.NOT_TEXT
            else:
                yield number, dict(zip(table.names, fields, strict=True))

    def _delimited(self, file: IO[str]) -> Delimited:
        delimiter = self.delimiter or ("\t" if self.form == "tsv" else None)
        lines: Iterator[str] = iter(file)
        if delimiter is None:
            header = next(lines, "")
            delimiter = guess_delimiter(header, [self.url])
            lines = itertools.chain([header] if header else [], lines)
        return Delimited(lines, delimiter=delimiter, url=self.url, raw=self.form == "tsv")


def open_text(path: Path) -> IO[str]:
    """Open a list as text: UTF-8, or UTF-16 with a BOM (written by spreadsheets).

    Bytes that are not UTF-8 become surrogates, so that only their row is invalid.
    """
    with _bytes(path) as file:
        wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding, errors = ("utf-16", "replace") if wide else ("utf-8-sig", "surrogateescape")
    return io.TextIOWrapper(_bytes(path), encoding=encoding, errors=errors, newline="")


def _bytes(path: Path) -> IO[bytes]:
    match path.suffix.lower():
        case ".gz":
            return cast(IO[bytes], gzip.open(path))
        case ".bz2":
            return cast(IO[bytes], bz2.open(path))
        case ".xz":
            return cast(IO[bytes], lzma.open(path))
        case ".zst":
            return cast(IO[bytes], zstandard.open(path, "rb"))
    return path.open("rb")


def _lines(file: IO[str]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield one URL per line; empty lines and lines that begin with # are skipped."""
    for number, line in enumerate(file, start=1):
        line = line.strip()
        if line and not line.startswith("#"):
            yield number, {"url": line} if _is_text(line) else parquet_rows.NOT_TEXT


def _objects(file: IO[str]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            row = _object(line)
            yield number, row if row is not None else "not a JSON object"


def _object(line: str) -> dict[str, Any] | None:
    try:
        row = checked(DECODER.decode(line), line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _is_text(text: str) -> bool:
    if text.isascii():
        return "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
