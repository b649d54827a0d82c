"""The discover stage: what the sources list, into the catalog, as segments of announced items."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from ..adapters.base import Adapter, Context, SourceOptions
from ..adapters.registry import adapter_class
from ..catalog.errors import ConfigError
from ..catalog.models import Item, now
from ..catalog.queries import query
from ..catalog.segments import row_schema
from ..catalog.store import read_catalog
from .rows import announce
from .segment_writer import SegmentWriter
from .store import SegmentStore

BATCH = 50_000
"""Announced items per segment."""

log = logging.getLogger("derlem.pipeline")


@dataclass(frozen=True, slots=True)
class Listing:
    """A source whose adapter has begun to list it: its declaration proved sound."""

    source: SourceOptions
    batches: Iterator[list[Item]]
    empty: bool


def open_listings(
    sources: Sequence[SourceOptions], context: Context, limit: int | None = None
) -> list[Listing]:
    """Begin to list every source, up to its first batch; nothing is written.

    So that a wrong declaration anywhere (a missing path, a field that is not there) ends the command
    before it changed anything. `limit` bounds the items per source.
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
    """ConfigError for a source that lists nothing and of which the catalog knows nothing either."""
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

    `first_ordinal` follows the last of the items of it that the catalog holds (0: none), `amend` says
    whether its declaration changed since: then known items are compared as well. `progress` gets (listed,
    new) after each segment.
    """
    new = listed = 0
    for rows in _row_batches(listing, run, first_ordinal):
        listed += len(rows)
        table = pa.Table.from_pylist(rows, schema=row_schema())
        amended = None
        if first_ordinal:
            table, amended = _compare(store, table, amend)
        for kind, part in (("discover", table), ("amend", amended)):
            if part is not None and part.num_rows:
                writer = SegmentWriter(
                    store.folder(listing.source.name),
                    source=listing.source.name,
                    kind=kind,
                    run=run,
                    schema=row_schema(),
                )
                writer.add_table(part)
                store.adopt(writer.close())
        new += table.num_rows
        progress(len(rows), table.num_rows)
        if store.due:
            store.commit(patient=False)
    store.commit()
    log.info("%s: %d listed, %d new", listing.source.name, listed, new)
    return new


def _row_batches(listing: Listing, run: str, first_ordinal: int) -> Iterator[list[dict[str, Any]]]:
    ordinal = first_ordinal
    items = chain.from_iterable(listing.batches)
    at = now()
    while chunk := list(islice(items, BATCH)):
        yield [
            announce(item, ordinal=ordinal + place, license=listing.source.license, run=run, at=at)
            for place, item in enumerate(chunk)
        ]
        ordinal += len(chunk)


def _compare(store: SegmentStore, listed: pa.Table, amend: bool) -> tuple[pa.Table, pa.Table | None]:
    """The listed rows that are new, and known ones with their declaration's changes."""
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
