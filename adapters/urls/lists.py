"""Reads lists of URLs, row by row, whatever their format; never more than a batch is in memory."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

BATCH = 10_000
"""Rows at a time."""

SAMPLE = 1_000
"""Rows from which the columns of a JSON list are derived."""

MAX_FIELD = 2**20
"""Characters of one CSV field; a longer one is a quote that was never closed."""

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

UNREADABLE = (OSError, EOFError, lzma.LZMAError, zstandard.ZstdError, pa.ArrowInvalid, csv.Error)
"""What opening or reading a damaged list may raise."""


@dataclass(slots=True)
class Rows:
    """Some rows of a list: their numbers (from 1) and values by column, and those that make no sense."""

    good: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)


def format_of(path: Path) -> Format | None:
    """The format that a list's name tells, compressed or not; None if it tells none."""
    suffixes = path.suffixes
    if suffixes and suffixes[-1].lower() in _PACKED:
        suffixes.pop()
    return _FORMATS.get(suffixes[-1].lower()) if suffixes else None


def columns(path: Path, form: Format) -> list[str]:
    """Names of a list's columns; for JSON, those of the first rows. Raises one of UNREADABLE."""
    if form == "txt":
        return ["url"]
    if form == "parquet":
        return list(pq.read_schema(path).names)
    with _text(path) as file:
        if form == "jsonl":
            names: dict[str, None] = {}
            for line in islice(file, SAMPLE):
                names |= dict.fromkeys(_object(line) or ())
            return list(names)
        return next(_reader(file, form), [])


def read_rows(path: Path, form: Format) -> Iterator[Rows]:
    """The rows of a list in batches. Raises one of UNREADABLE, after what could be read."""
    if form == "parquet":
        yield from _parquet(path)
        return
    with _text(path) as file:
        rows = {"txt": _lines, "jsonl": _objects}.get(form, _table)(file, form)
        batch = Rows()
        for number, row in rows:
            if isinstance(row, str):
                batch.bad.append((number, row))
            else:
                batch.good.append((number, row))
            if len(batch.good) + len(batch.bad) >= BATCH:
                yield batch
                batch = Rows()
        if batch.good or batch.bad:
            yield batch


_Row = tuple[int, dict[str, Any] | str]
"""A row's number and its values by column, or what is wrong with it."""


def _text(path: Path) -> IO[str]:
    """A list as text: UTF-8, or UTF-16 where it begins so, as spreadsheets save it.

    Bytes that are not UTF-8 become surrogates, so that they cost one row only.
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


def _lines(file: IO[str], form: str) -> Iterator[_Row]:
    """One URL per line; empty lines and those that begin with # say nothing."""
    for number, line in enumerate(file, start=1):
        line = line.strip()
        if line and not line.startswith("#"):
            yield number, {"url": line} if _sound(line) else "bytes that are not UTF-8"


def _objects(file: IO[str], form: str) -> Iterator[_Row]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            row = _object(line)
            yield number, row if row is not None else "not a JSON object"


def _object(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line, parse_constant=lambda _: None)  # NaN is not JSON, and nobody's value
        line.encode()
        if "\\ud" in line.lower():
            json.dumps(row, ensure_ascii=False).encode()  # JSON can spell halves of characters
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _table(file: IO[str], form: str) -> Iterator[_Row]:
    reader = _reader(file, form)
    names: list[str] = next(reader, [])
    width = len(names)
    for row in reader:
        if not row:
            continue
        number = reader.line_num
        if len(row) != width:
            yield number, f"{len(row)} fields instead of {width}"
        elif not all(map(_sound, row)):
            yield number, "bytes that are not UTF-8"
        else:
            yield number, dict(zip(names, row, strict=True))


def _reader(file: IO[str], form: str) -> Any:
    csv.field_size_limit(MAX_FIELD)
    return csv.reader(file, delimiter="\t" if form == "tsv" else ",")


def _sound(text: str) -> bool:
    if text.isascii():
        return "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _parquet(path: Path) -> Iterator[Rows]:
    with pq.ParquetFile(path) as file:
        names = [field.name for field in file.schema_arrow if not _is_bytes(field.type)]
        first = 1
        for batch in file.iter_batches(BATCH, columns=names):
            values = [_values(column) for column in batch.columns]
            rows = zip(*values, strict=True) if values else iter(())
            found = [dict(zip(names, row, strict=True)) for row in rows]
            yield Rows(list(enumerate(found, start=first)))
            first += batch.num_rows


def _is_bytes(kind: pa.DataType) -> bool:
    """Columns of bytes are payloads or digests: nothing that a text of metadata can hold."""
    types = pa.types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def _values(column: pa.Array) -> list[Any]:
    kind = column.type
    if pa.types.is_floating(kind):
        numbers = column.to_pylist()
        return [number if number is not None and math.isfinite(number) else None for number in numbers]
    if pa.types.is_nested(kind):
        return [_finite(value) for value in column.to_pylist()]
    return list(column.to_pylist())


def _finite(value: Any) -> Any:
    """A nested value without NaN and infinity, which JSON cannot say."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value
