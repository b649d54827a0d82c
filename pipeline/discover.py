"""Lists sources and updates the catalog with the differences: the discover stage.

New items are announced. Items are re-queued if their content or the options behind their outcomes changed,
amended if only listed columns changed, and rejected as gone if their source no longer lists them.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..adapters.base import Adapter, Context, Partitioning, SourceOptions
from ..adapters.registry import adapter_class
from ..catalog.connection import read_catalog
from ..catalog.item_rows import dump, to_table
from ..catalog.models import Item, now
from ..catalog.queries import query
from ..catalog.segments import row_schema
from ..catalog.status import Reason, Status
from ..core.errors import ConfigError, DerlemError
from ..core.workspace import Workspace
from .known_records import KnownRecords
from .listed_records import ListedRecords
from .option_hashes import OptionHashes
from .outcomes import announce
from .segment_store import SegmentStore

if TYPE_CHECKING:
    import duckdb

BATCH = 50_000
"""Approximate number of announced items per segment."""

BATCH_SECONDS = 15.0
"""Seconds after which a smaller segment is written: a killed process loses little of a slow listing."""

_RECORD = (
    *("revision", "category", "caption", "conversations", "language", "license", "parent_id", "meta"),
    "locator_state",
)
"""Columns that a listing fills. A record is compared with its item if its hash over these columns changed."""
_BETWEEN, _NULL = "\x1f", "\0"
"""Separator of the hashed columns, and the substitute for NULL, which differs from ''."""

log = logging.getLogger("derlem.pipeline")


@dataclass(frozen=True, slots=True)
class Listing:
    """A source whose listing has started, so that its declaration is valid.

    `partial` listings leave items out on purpose (test mode).
    """

    source: SourceOptions
    batches: Iterator[list[Item]]
    empty: bool
    partial: bool = False


@dataclass(slots=True)
class Changes:
    """The changes that a listing makes in the catalog, as numbers of items.

    `changed` items are read again because their content changed, `outdated` items because options changed.
    `amended` items have new columns only. `gone` items are no longer listed. `repeated` records are listed
    twice and dropped. `withdrawn` items changed and stay withdrawn. `rejected` items are new, and rejected by
    their listing. `unlisted` is the reason, if any, why
    unlisted items keep their outcomes. `damaged` contains the uris of files and folders that could not be
    listed completely.
    """

    listed: int = 0
    new: int = 0
    changed: int = 0
    outdated: int = 0
    amended: int = 0
    gone: int = 0
    repeated: int = 0
    withdrawn: int = 0
    rejected: int = 0
    unlisted: str = ""
    damaged: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Target:
    """The destination of a listing's changes: the store, or none in a dry run."""

    workspace: Workspace
    run: str
    store: SegmentStore | None
    decided: list[pa.Array] = field(default_factory=list)
    """In a dry run, the ids of items that earlier steps of the listing would re-queue or reject."""

    def write(self, source: str, kind: str, rows: pa.Table) -> int:
        """Write rows as a segment and return their number."""
        if not rows.num_rows:
            return 0
        if self.store is not None:
            schema = row_schema()
            # listed rows already have this schema, and pyarrow's first cast imports many modules
            conforming = rows if rows.schema.equals(schema) else rows.cast(schema)
            self.store.write_rows(source, kind, self.run, conforming)
        elif kind == "relist":
            self.decided += rows.column("item_id").chunks
        return int(rows.num_rows)

    def commit(self) -> None:
        """Merge all written segments into the catalog."""
        if self.store is not None:
            self.store.commit()


def open_listings(
    sources: Sequence[SourceOptions], context: Context, limit: int | None = None
) -> list[Listing]:
    """List every source up to its first batch, without writing.

    A wrong declaration of any source (a missing path or field) raises ConfigError before the command
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
        listings.append(Listing(source, chain([first], batches), not first, limit is not None))
    return listings


def refuse_empty(listings: Sequence[Listing], known: dict[str, int]) -> None:
    """Raise ConfigError for a source that lists no items and has none in the catalog."""
    for listing in listings:
        if listing.empty and not known.get(listing.source.name):
            raise ConfigError("the source has no items", key=f"sources.{listing.source.name}")


def discover(
    listing: Listing,
    target: Target,
    changes: Changes,
    *,
    first_ordinal: int,
    options: OptionHashes,
    progress: Callable[[int, int], None],
) -> None:
    """List one source completely, write its changes and count them in `changes`.

    `first_ordinal` is the ordinal after the last of the source's items in the catalog (0: none). `progress`
    is called with (listed, new) after each segment. Items listed before an error are written.
    """
    name = listing.source.name
    records, known = ListedRecords(), None
    if first_ordinal:
        with read_catalog(target.workspace) as connection:
            known = KnownRecords(connection, name, options.texts)
    try:
        for items in _batches(listing, target.run, first_ordinal):
            changes.listed += len(items)
            table = records.distinct(_with_record_hashes(items))
            changes.repeated = records.repeated
            changes.damaged += [item.uri for item in items if _is_damage(item)]
            new = _write_batch(listing, target, changes, table, options, known)
            progress(len(items), new)
            if target.store is not None and target.store.due:
                target.store.commit(wait_for_readers=False)
        if known is not None:
            target.commit()
            if known.unlisted():
                _write_gone(listing, target, changes, options, records)
            _write_outdated(listing, target, changes, options)
    finally:
        target.commit()
        log.info("%s: %s", name, changes)


def _batches(listing: Listing, run: str, first_ordinal: int) -> Iterator[list[Item]]:
    """Yield announced items in batches bounded by number and time; raise a listing's error after the last."""
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


def _with_record_hashes(items: Sequence[Item]) -> pa.Table:
    """The items as rows, with a hash of each listed record.

    Python computes the hashes because DuckDB's imports for a first Arrow table take as long as a small
    listing.
    """
    listed = to_table(items, row_schema())
    columns = [listed.column(name).to_pylist() for name in _RECORD]
    several = (_several(item) for item in items)
    hashes = [
        hashlib.md5(
            _BETWEEN.join(_NULL if value is None else value for value in (*values, *more)).encode()
        ).hexdigest()
        for values, more in zip(zip(*columns, strict=True), several, strict=True)
    ]
    place = listed.schema.get_field_index("record_hash")
    return listed.set_column(place, "record_hash", pa.array([digest[:16] for digest in hashes], pa.string()))


def _several(item: Item) -> tuple[str, ...]:
    """The hashed columns of a record of several images or captions; none for other records."""
    if item.images == 1 and not item.captions:
        return ()
    return (dump([item.images, item.captions]),)


def _is_damage(item: Item) -> bool:
    """Whether an item represents a file or folder whose listing may be incomplete."""
    reason = item.reason
    if reason is None:
        return False
    whole = reason in (Reason.BAD_ARCHIVE, Reason.ARCHIVE_BOMB) or reason.transient
    return whole or (reason is Reason.BAD_ROW and not item.locator)


def _write_batch(
    listing: Listing,
    target: Target,
    changes: Changes,
    table: pa.Table,
    options: OptionHashes,
    known: KnownRecords | None,
) -> int:
    """Write the changes of a batch of listed rows and return the number of new items."""
    name = listing.source.name
    if known is None:
        new = target.write(name, "discover", table)
        changes.new += new
        changes.rejected += _rejected(table)
        return new
    source = {"source": name}
    at = {**source, "run": target.run, "at": now()}
    table, ordinals = known.changed(table)
    if not table.num_rows:
        return 0
    with read_catalog(target.workspace) as connection:
        connection.register("listed", table)
        connection.register("known_ordinals", ordinals)
        connection.execute("CREATE TEMP VIEW known_places AS FROM known_ordinals")
        connection.execute(query("segments/changes"), source | {"texts": options.texts})
        if connection.execute(query("segments/misplaced")).fetchall():
            connection.execute(query("segments/known_places"), source)
            connection.execute(query("segments/changes"), source | {"texts": options.texts})
        counts = dict(connection.execute("SELECT change, count(*) FROM changes GROUP BY ALL").fetchall())
        parts: list[tuple[str, str, Mapping[str, Any]]] = []
        if counts.get("new"):
            parts.append(("discover", "segments/unknown", {}))
        if counts.get("relist") or counts.get("reread"):
            parts.append(("relist", "segments/relisted_pages", at))
            hashes = {"stored": options.of(Status.READY, None, False)[8:], "texts": options.texts}
            parts.append(("relist", "segments/relisted", source | hashes))
        if counts.get("amend"):
            parts.append(("amend", "segments/amended", {**source, "texts_read": options.adapter.texts_read}))
        found = [
            (kind, connection.execute(query(sql), values).to_arrow_table()) for kind, sql, values in parts
        ]
    for kind, rows in found:
        target.write(name, kind, rows)
        if kind == "discover":
            changes.rejected += _rejected(rows)
    changes.new += counts.get("new", 0)
    changes.changed += counts.get("relist", 0)
    changes.outdated += counts.get("reread", 0)
    changes.amended += counts.get("amend", 0)
    changes.withdrawn += counts.get("withdrawn", 0)
    return int(counts.get("new", 0))


def _rejected(rows: pa.Table) -> int:
    return int(rows.column("status").to_pylist().count(Status.REJECTED))


def _incomplete_reason(listing: Listing, options: OptionHashes, damaged: Sequence[str]) -> str:
    """Why unlisted items may still exist; '' if all unlisted items outside of `damaged` are gone."""
    if not options.adapter.complete:
        return "a crawl may be incomplete"
    if listing.partial:
        return "only a part of the source was listed"
    if listing.empty:
        return "the listing is empty"
    if damaged and options.adapter.partitioning is Partitioning.BY_WORKER:
        return f"{damaged[0]} could not be read completely"
    return ""


def _write_gone(
    listing: Listing, target: Target, changes: Changes, options: OptionHashes, records: ListedRecords
) -> None:
    """Reject the items that the source no longer lists; items that may still exist are only counted."""
    import pyarrow.compute as pc  # a first listing does not need the module and starts sooner without it

    why = _incomplete_reason(listing, options, changes.damaged)
    parameters = {"source": listing.source.name, "run": target.run, "at": now(), "damaged": changes.damaged}
    kept = 0
    with read_catalog(target.workspace) as connection:
        connection.register("listed_keys", records.keys)
        for rows in _parts(connection, "segments/gone", parameters):
            stays = pc.or_(rows.column("stays"), bool(why))
            kept += pc.sum(stays).as_py() or 0
            gone = rows.drop_columns(["stays"]).filter(pc.invert(stays))
            changes.gone += target.write(listing.source.name, "relist", gone)
    target.commit()
    if kept:
        why = why or "files or folders could not be read"
        changes.unlisted = f"{kept:,} items are not listed and keep their status: {why}"


def _write_outdated(listing: Listing, target: Target, changes: Changes, options: OptionHashes) -> None:
    """Re-queue items whose images depend on options that changed."""
    import pyarrow.compute as pc  # see `_write_gone`

    outcomes = options.by_outcome
    expected = {
        "statuses": [str(status) for status, _, _ in outcomes],
        "reasons": [str(reason) for _, reason, _ in outcomes],
        "pages": [page for _, _, page in outcomes],
        "hashes": list(outcomes.values()),
    }
    decided = pa.chunked_array(target.decided, pa.string())
    with read_catalog(target.workspace) as connection:
        connection.execute(query("segments/expected"), expected)
        [(stale,)] = connection.execute(query("counts/is_stale"), {"source": listing.source.name}).fetchall()
        if not stale:
            return
        parameters = {"source": listing.source.name, "run": target.run, "at": now()} | options.parameters()
        for rows in _parts(connection, "segments/stale", parameters):
            outdated = rows.filter(pc.invert(pc.is_in(rows.column("item_id"), decided)))
            changes.outdated += target.write(listing.source.name, "relist", outdated)


def _parts(
    connection: duckdb.DuckDBPyConnection, name: str, parameters: Mapping[str, Any]
) -> Iterator[pa.Table]:
    """The rows of a query, in tables of at most BATCH rows."""
    for batch in connection.execute(query(name), parameters).to_arrow_reader(BATCH):
        yield pa.Table.from_batches([batch])


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
