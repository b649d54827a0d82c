"""The `urls` adapter: lists items from rows of URL lists, and fetches their URLs within host limits."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from ...catalog.models import Failure, Item, Message, Payload, category_path
from ...catalog.status import Reason
from ...core.config_values import ResolvedPath
from ...core.errors import ConfigError, MissingExtra
from ...core.masking import mask
from ...core.options import StrictModel
from ...core.suggest import did_you_mean
from ..base import Adapter, Partitioning, SourceOptions
from ..captions import CaptionCount, language_tag
from ..conversations import conversation
from ..http.fetch_options import SourceLimits
from ..http.urls import UrlError, host_of
from ..names import escape
from ..templates import Template
from ..tree import Tree
from .delimited import DelimiterOption
from .lists import UNREADABLE, Format, Rows, UrlList, format_of

BLOCK = 1_000
"""URLs of a host per partition key, so that several workers share a large host."""

COUNTED = 200_000
"""Maximum number of hosts with counted URLs."""


log = logging.getLogger("derlem.urls")


class ColumnOptions(StrictModel):
    """Maps columns to fields of an item. All other columns go into the item's `meta`."""

    url: str = Field(default="url", min_length=1)
    caption: str | None = Field(default=None, min_length=1)
    category: str | None = Field(
        default=None, min_length=1, description="a path, a name, or a list of names; or use a template"
    )
    language: str | None = Field(default=None, min_length=1, description="of the caption (BCP 47)")
    license: str | None = Field(default=None, min_length=1, description="of the image (SPDX)")
    conversations: str | None = Field(
        default=None,
        min_length=1,
        description="messages (role, content) or turns (from, value); JSON, too",
    )

    @property
    def named(self) -> dict[str, str]:
        """The mapped options by column."""
        return {column: option for option, column in self.model_dump(exclude_none=True).items()}


class UrlsOptions(SourceOptions):
    """Lists of URLs: txt (one per line), csv and tsv (with a header), jsonl, parquet.

    Equal rows are one item; a URL with several texts is one item per text.
    Category fields: all columns, and {host}.
    """

    path: ResolvedPath = Field(
        min_length=1, description="a list, a folder of lists, or a glob; may be .gz, .bz2, .xz or .zst"
    )
    format: Format | None = Field(default=None, description="default: derived from the names of the lists")
    delimiter: DelimiterOption = None
    columns: ColumnOptions = Field(default_factory=ColumnOptions)
    limits: SourceLimits = Field(
        default_factory=SourceLimits,
        description="request limits of hosts; they take precedence over the fetch section's",
    )


class UrlsAdapter(Adapter[UrlsOptions]):
    """Reads lists of URLs; the uri is the URL as listed.

    The partition key is the host, so that a worker reuses its connections; each further BLOCK of URLs of
    a host has another key, such as `example.org#1`. Workers share a host's limits (see http/leases.py).
    """

    Options = UrlsOptions
    partitioning = Partitioning.BY_WORKER
    texts_read = False
    limiting = ("limits",)
    reading = ("derlem.adapters.http.fetcher",)

    def discover(self, source: UrlsOptions) -> Iterator[list[Item]]:
        """Stream the lists. An invalid row is an item with the list as uri and the row as locator."""
        lists = _lists(source, self.context.workspace.root)
        if not lists:
            raise ConfigError(f"there are no lists at {source.path}", key="path")
        partition_keys = _PartitionKeys()
        captions = CaptionCount(source.name, f"the column {source.columns.caption!r}")
        for number, (name, path, form) in enumerate(lists):
            mapped = source.columns
            listed = UrlList(path, form, mapped.url, mapped.named.keys(), source.delimiter)
            try:
                reader = _Reader(source, name, listed.columns(), partition_keys)
            except MemoryError:
                raise  # pa.ArrowMemoryError is an ArrowException, too, but does not mean a damaged list
            except UNREADABLE as error:
                yield [_damaged(source, name, str(error))]
                continue
            except ConfigError as error:
                if number == 0:
                    raise
                yield [_damaged(source, name, error.message)]
                continue
            try:
                for rows in listed.rows():
                    items = reader.items(rows)
                    captions.add(items)
                    yield items
            except MemoryError:
                raise
            except UNREADABLE as error:
                yield [_damaged(source, name, str(error))]
        if source.columns.caption:
            captions.warn(log)

    def read(self, source: UrlsOptions, items: Iterable[Item]) -> Iterator[tuple[str, Payload | Failure]]:
        """Fetch the URLs, in any order that the limits of hosts allow."""
        try:
            from ..http.fetcher import Fetcher
        except ModuleNotFoundError as error:
            raise MissingExtra(f"the 'urls' adapter ({error.name})", "fetch") from error
        yield from Fetcher(self.context, source.limits).fetch(items)


class _PartitionKeys:
    """Assigns partition keys to URLs: blocks of a host, in the order of the list."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def of(self, host: str) -> str:
        """Return the partition key of the next URL of a host."""
        count = self._counts.get(host, 0)
        self._counts[host] = count + 1
        if len(self._counts) > COUNTED:  # drop small hosts, which rarely fill a second block
            self._counts = {name: seen for name, seen in self._counts.items() if seen >= BLOCK // 10}
        return host if count < BLOCK else f"{host}#{count // BLOCK}"


class _Reader:
    """Converts rows of one list to items."""

    def __init__(
        self, source: UrlsOptions, name: str, found: Sequence[str], partition_keys: _PartitionKeys
    ) -> None:
        """ConfigError if a mapped column is missing from `found`."""
        self._source, self._name, self._partition_keys = source.name, name, partition_keys
        mapped = source.columns
        for column, option in mapped.named.items():
            if column not in found:
                raise ConfigError(
                    f"{name} has no column {column!r}{did_you_mean(column, found)} "
                    f"(it has: {', '.join(found) or 'none'})",
                    key=f"columns.{option}",
                )
            if list(found).count(column) > 1:
                raise ConfigError(f"{name} has several columns {column!r}", key=f"columns.{option}")
        if source.category and mapped.category:
            raise ConfigError("give either a template or a column for the category", key="category")
        self._columns = mapped
        self._template = Template(source.category, {*found, "host"})
        self._fixed = None if self._template.fields or mapped.category else self._template.render({})

    def items(self, rows: Rows) -> list[Item]:
        """Return the items of a batch of rows."""
        items = [self._bad_row(number, Reason.BAD_ROW, detail) for number, detail in rows.bad]
        mapped = self._columns
        special = mapped.language or mapped.license or mapped.conversations
        for number, row in rows.good:
            url = row.pop(mapped.url, None)
            if not isinstance(url, str) or not (url := url.strip()):
                items.append(self._bad_row(number, Reason.NO_VALUE, f"no URL in {mapped.url!r}"))
                continue
            if "\0" in url:
                items.append(self._bad_row(number, Reason.BAD_ROW, "a NUL in the URL"))
                continue
            reason: Reason | None = None
            try:
                host = host_of(url)
                partition_key = self._partition_keys.of(host)
            except UrlError as error:
                host, partition_key, reason, row["detail"] = "", "", Reason.BAD_URL, str(error)
                url = mask(url)  # perhaps with a password
            category = self._fixed
            if category is None:
                category = self._category(row, url, host)
            caption = self._caption(row) if mapped.caption else None
            item = Item(
                self._source,
                url,
                category=category,
                caption=caption,
                meta=row,
                partition_key=partition_key,
                reason=reason,
            )
            if special:
                self._fill(item, row)
            items.append(item)
        return items

    def _caption(self, row: dict[str, Any]) -> str | None:
        """Return the caption; for a value that is not text, add `bad_value` to the row."""
        column = self._columns.caption or ""
        value = row.pop(column, None)
        try:
            return _text(value)
        except ValueError as error:
            row["bad_value"] = f"{column}: {error}"
            return None

    def _category(self, row: dict[str, Any], url: str, host: str) -> str:
        column = self._columns.category
        if column is None:
            return self._template.render({**row, self._columns.url: url, "host": host})
        value = row.pop(column, None)
        if isinstance(value, str):
            return category_path(value)
        parts = value if isinstance(value, list) else [value]
        return category_path(*(str(part) for part in parts if part is not None))

    def _fill(self, item: Item, row: dict[str, Any]) -> None:
        """Set license, language and conversations; invalid values stay in `meta`, with `bad_value`."""
        mapped = self._columns
        if mapped.license:
            try:
                item.license = _text(row.get(mapped.license))
                row.pop(mapped.license, None)
            except ValueError as error:
                row["bad_value"] = f"{mapped.license}: {error}"
        if mapped.language and row.get(mapped.language):
            try:
                item.language = language_tag(_text(row[mapped.language]) or "")
                del row[mapped.language]
            except ValueError as error:
                row["bad_value"] = f"{mapped.language}: {error}"
        if mapped.conversations and row.get(mapped.conversations):
            try:
                item.conversations = _conversation(row[mapped.conversations])
                del row[mapped.conversations]
            except (ValueError, RecursionError) as error:
                row["bad_value"] = f"{mapped.conversations}: {error}"

    def _bad_row(self, number: int, reason: Reason, detail: str) -> Item:
        return Item(self._source, self._name, locator=f"row {number}", meta={"detail": detail}, reason=reason)


def _lists(source: UrlsOptions, workspace: Path) -> list[tuple[str, Path, Format]]:
    """Return names (below the root), paths and formats of a source's lists, sorted; ConfigError."""
    tree = Tree(source.path, without=workspace)
    lists = []
    for folder in tree.folders():
        for name in folder.files:
            path = Path(tree.root, folder.path, name)
            form = source.format or format_of(path)
            if form is None:
                raise ConfigError(
                    f"{path} does not have the name of a list: set `format`, or use a glob without it",
                    key="path",
                )
            lists.append((escape(os.fspath(folder.join(name))), path, form))
    return lists


def _damaged(source: UrlsOptions, name: str, detail: str) -> Item:
    return Item(source.name, name, meta={"detail": f"the list: {detail}"}, reason=Reason.BAD_ROW)


def _text(value: object) -> str | None:
    """Return a value as text; for a list, its first non-empty value. ValueError for an object."""
    if isinstance(value, list):
        value = next((entry for entry in value if entry), None)
    if isinstance(value, dict | list):
        raise ValueError("an object is not text")
    return None if value is None or value == "" else str(value)


def _conversation(value: object) -> list[Message]:
    return conversation(json.loads(value) if isinstance(value, str) else value)
