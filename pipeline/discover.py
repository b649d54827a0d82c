"""The discover stage: lists sources into the catalog, as segments of announced items."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import pyarrow as pa

from ..adapters.base import Adapter, Context, SourceOptions
from ..adapters.registry import adapter_class
from ..catalog.connection import read_catalog
from ..catalog.item_rows import to_table
from ..catalog.models import Item, now
from ..catalog.queries import query
from ..catalog.segments import row_schema
from ..core.errors import ConfigError, DerlemError
from .outcomes import announce
from .segment_store import SegmentStore

BATCH = 50_000
"""Announced items per segment, about,"""

BATCH_SECONDS = 15.0
"""or items that were announced in this time: a slow listing is not lost with its process."""

log = logging.getLogger("derlem.pipeline")


@dataclass(frozen=True, slots=True)
class Listing:
    """A source whose listing has started, so that its declaration is valid."""

    source: SourceOptions
    batches: Iterator[list[Item]]
    empty: bool


def open_listings(
    sources: Sequence[SourceOptions], context: Context, limit: int | None = None
) -> list[Listing]:
    """Start to list every source, up to its first batch; nothing is written.

    An invalid declaration of any source (a missing path, a missing field) ends the command before the command
    changes anything. `limit` bounds the items per source.
    """
    listings = []
    for source in sources:
        adapter: Adapter[Any] = adapter_class(source.adapter)(context)
        try:
            batches = _limited(adapter.discover(source), limit)
            first = next(batches, [])
        except ConfigError as error:
            raise ConfigError(
                error.message, key=f"sources.{source.name}" + (f".{error.key}" if error.key else "")
            ) from error
        listings.append(Listing(source, chain([first], batches), not first))
    return listings


def refuse_empty(listings: Sequence[Listing], known: dict[str, int]) -> None:
    """ConfigError for a source that lists no item and of which the catalog holds none."""
    for listing in listings:
        if listing.empty and not known.get(listing.source.name):
            raise ConfigError("the source has no items", key=f"sources.{listing.source.name}")


def discover(
    listing: Listing,
    store: SegmentStore,
    *,
    run: str,
    first_ordinal: int,
    amend: bool,
    progress: Callable[[int, int], None],
) -> int:
    """List one source to its end; returns how many items were new.

    `first_ordinal` follows the last of its items in the catalog (0: none). With `amend` the declaration has
    changed since the last complete listing, and known items are compared as well. `progress` takes (listed,
    new) after each segment.
    """
    new = listed = 0
    try:
        for items in _batches(listing, run, first_ordinal):
            listed += len(items)
            table = to_table(items, row_schema())
            amended = None
            if first_ordinal:
                table, amended = _compare(store, table, amend)
            for kind, part in (("discover", table), ("amend", amended)):
                if part is not None and part.num_rows:
                    store.write_rows(listing.source.name, kind, run, part)
            new += table.num_rows
            progress(len(items), table.num_rows)
            if store.due:
                store.commit(wait_for_readers=False)
    finally:
        store.commit()
        log.info("%s: %d listed, %d new", listing.source.name, listed, new)
    return new


def _batches(listing: Listing, run: str, first_ordinal: int) -> Iterator[list[Item]]:
    """Announced items, some thousand or some seconds at a time; the last ones come before any error."""
    at, license = now(), listing.source.license
    ordinals = count(first_ordinal)
    items: list[Item] = []
    started = time.monotonic()
    failure: DerlemError | None = None
    try:
        for batch in listing.batches:
            items += (
                announce(item, ordinal=next(ordinals), license=license, run=run, at=at) for item in batch
            )
            if len(items) >= BATCH or (items and time.monotonic() - started >= BATCH_SECONDS):
                yield items
                items, started = [], time.monotonic()
    except DerlemError as error:
        failure = error
    if items:
        yield items
    if failure is not None:
        raise failure


def _compare(store: SegmentStore, listed: pa.Table, amend: bool) -> tuple[pa.Table, pa.Table | None]:
    """The listed rows that are new, and known rows with the changes of their declaration."""
    with read_catalog(store.workspace) as connection:
        connection.register("listed", listed)
        unknown = connection.execute(query("segments/unknown")).to_arrow_table()
        amended = connection.execute(query("segments/amended")).to_arrow_table() if amend else None
    return unknown.cast(row_schema()), None if amended is None else amended.cast(row_schema())


def _limited(batches: Iterator[list[Item]], limit: int | None) -> Iterator[list[Item]]:
    if limit is None:
        yield from (batch for batch in batches if batch)
        return
    left = limit
    for batch in batches:
        taken = batch[:left]
        if taken:
            yield taken
        left -= len(taken)
        if left <= 0:
            return
