"""Runs the inbound stages within a run: discover, ingest and refresh, with progress and counts."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import duckdb

from ..adapters.base import Context, Partitioning, SourceOptions
from ..adapters.registry import adapter_class
from ..catalog.connection import read_catalog, write_catalog
from ..catalog.counts import count_items
from ..catalog.queries import query
from ..catalog.segments import row_schema
from ..catalog.sources import Declared
from ..catalog.status import Reason, Status
from ..core.errors import CatalogMemory, CatalogMissing, DerlemError
from ..core.log_context import log_context
from ..core.progress import Progress, meter
from ..core.temporary import TemporaryFolder
from ..core.workspace import Workspace
from ..media.media_options import MediaOptions
from ..media.pdf import PdfOptions, resolve_renderer
from .discover import Changes, Listing, Target, discover, open_listings, refuse_empty
from .executors.base import open_executor
from .ingest import ingest, refresh
from .ingest_options import IngestOptions
from .option_hashes import OptionHashes
from .run import RunScope, complete_listing, declare, write_provenance
from .segment_writer import WrittenSegment
from .tasks import Job

log = logging.getLogger("derlem.pipeline")


@dataclass(frozen=True, slots=True)
class Known:
    """The catalog's state of a source before a stage."""

    listed_hash: str | None
    items: int
    next_ordinal: int


def known_sources(workspace: Workspace) -> dict[str, Known]:
    """The catalog's state of each source; empty without a catalog."""
    try:
        with read_catalog(workspace) as connection:
            return _known_sources(connection)
    except CatalogMissing:
        return {}


def _known_sources(connection: duckdb.DuckDBPyConnection) -> dict[str, Known]:
    rows = connection.execute(query("counts/known_sources")).fetchall()
    return {source: Known(listed_hash, items, ordinal) for source, listed_hash, items, ordinal in rows}


@dataclass(frozen=True, slots=True)
class SourceListing:
    """The listing of one source.

    `known` is the number of items in the catalog before the listing, `changes` the changes up to the end or
    to an error, and `error` the error that ended the listing early.
    """

    source: str
    known: int
    changes: Changes
    error: DerlemError | None = None


@dataclass(frozen=True, slots=True)
class Declarations:
    """The declared options on which the outcomes of items depend."""

    context: Context
    media: MediaOptions
    ingest: IngestOptions

    def hashes(self, source: SourceOptions) -> OptionHashes:
        """The hashes of a source's options."""
        return OptionHashes(source, adapter_class(source.adapter), self.context, self.media, self.ingest)


def check_sources(
    sources: Sequence[SourceOptions], declared: Declarations, limit: int | None, progress: Progress
) -> list[SourceListing]:
    """List the sources and compare the listings with the catalog, without writing."""
    context = declared.context
    known = known_sources(context.workspace)
    with TemporaryFolder("dry-run") as notes:
        return [
            _complete(listing, Target(context.workspace, "dry run", None), declared, known, progress)
            for listing in checked_listings(sources, replace(context, dry_notes=notes.path), limit)
        ]


def checked_listings(sources: Sequence[SourceOptions], context: Context, limit: int | None) -> list[Listing]:
    """Start the listings without writing; ConfigError for a wrong declaration or an empty source."""
    known = known_sources(context.workspace)
    listings = open_listings(sources, context, limit)
    refuse_empty(listings, {name: found.items for name, found in known.items()})
    return listings


def run_discover(
    scope: RunScope, listings: Sequence[Listing], sources: Sequence[Declared], declared: Declarations
) -> list[SourceListing]:
    """Register all declared sources and complete the listings.

    A source whose listing fails keeps the items listed before the error; the other listings continue.
    """
    scope.state.enter("discover")
    with write_catalog(scope.workspace) as connection:
        known = _known_sources(connection)
        declare(scope.workspace, connection, sources)
    target = Target(scope.workspace, scope.run, scope.store)
    hashes = {source.source: source.config_hash for source in sources}
    results = []
    for listing in listings:
        listed = _complete(listing, target, declared, known, scope.progress, scope.state.count)
        before = known.get(listed.source)
        if listed.error is None and (before is None or before.listed_hash != hashes[listed.source]):
            complete_listing(scope.workspace, listed.source, hashes[listed.source])
        results.append(listed)
    return results


def _complete(
    listing: Listing,
    target: Target,
    declared: Declarations,
    known: Mapping[str, Known],
    progress: Progress,
    count: Callable[[str, dict[str, int]], None] | None = None,
) -> SourceListing:
    """List one source completely; an error is part of the result."""
    name = listing.source.name
    before = known.get(name)
    failure: DerlemError | None = None
    changes = Changes()
    with log_context(source=name), meter(progress, f"discover {name}") as shown:

        def advance(listed: int, new: int) -> None:
            shown.advance(listed, new=new)
            if count is not None:
                count("discover", {name: new})

        try:
            discover(
                listing,
                target,
                changes,
                first_ordinal=before.next_ordinal if before else 0,
                options=declared.hashes(listing.source),
                progress=advance,
            )
        except CatalogMemory:  # not the source's fault
            raise
        except DerlemError as error:
            log.error("%s: %s", name, error)
            failure = error
    return SourceListing(name, before.items if before else 0, changes, failure)


def run_ingest(
    scope: RunScope, sources: Sequence[SourceOptions], declared: Declarations
) -> tuple[dict[str, int], dict[str, int]]:
    """Read and store all pending items of the sources.

    Returns the numbers of pending items by source, and the outcomes: items by status, and their `bytes`.
    """
    scope.state.enter("ingest")
    names = [source.name for source in sources]
    media = with_renderer(declared.media)
    job = _job(scope, sources, declared, media)
    with open_executor(job) as executor, ExitStack() as stack:
        with read_catalog(scope.workspace) as connection:
            pending = count_items(connection, names, Status.DISCOVERED)
            items = sum(pending.values())
            executor.start(items)  # workers start while tasks are planned
            if items:
                warn_of_mixed_renderers(connection, media.pdf)
        shown = stack.enter_context(meter(scope.progress, "ingest", items, pending))

        def progress(segment: WrittenSegment) -> None:
            pages = segment.statuses.get("discovered", 0)
            counts = {status: count for status, count in segment.statuses.items() if status != "discovered"}
            shown.grow(pages)
            shown.advance(segment.items - pages, **counts)
            shown.advance_source(segment.source, segment.items - pages, pages, segment.rejections)
            state = scope.state
            state.state.worker_memory_peak = executor.worker_memory_peak
            state.state.worker_deaths = executor.workers_lost
            state.count("ingest", {**counts, "bytes": segment.payload_bytes})

        ingest(sources, scope.store, executor, job, progress)
        scope.state.state.worker_memory_peak = executor.worker_memory_peak
        scope.state.state.worker_deaths = executor.workers_lost
    write_provenance(scope.workspace)
    if items:
        warn_of_bad_sidecars(scope.workspace, scope.run)
    return pending, dict(scope.state.state.counts.get("ingest", {}))


def run_refresh(
    scope: RunScope, sources: Sequence[SourceOptions], declared: Declarations
) -> tuple[dict[str, int], int, Counter[str]]:
    """Fetch ready items again.

    Returns the numbers of ready items by source, of new images, and of unchanged items by cause.
    """
    scope.state.enter("refresh")
    job = _job(scope, sources, declared, declared.media)
    new, kept = 0, Counter[str]()
    with read_catalog(scope.workspace) as connection:
        items = count_items(connection, [source.name for source in sources], Status.READY)
    with meter(scope.progress, "refresh", sum(items.values())) as shown:

        def report(counts: Counter[str]) -> None:
            kept.update(counts)
            shown.advance(counts.total(), **counts)
            scope.state.count("refresh", dict(counts))

        def progress(segment: WrittenSegment) -> None:
            nonlocal new
            if segment.tar is None:  # amendments of items that stay
                return
            new += segment.items
            shown.advance(segment.items, new=segment.items)
            scope.state.count("refresh", {"new": segment.items})

        with open_executor(job, report) as executor:
            refresh(sources, scope.store, executor, job, progress)
    write_provenance(scope.workspace)
    return items, new, kept


def _job(
    scope: RunScope, sources: Sequence[SourceOptions], declared: Declarations, media: MediaOptions
) -> Job:
    return Job(
        run=scope.run,
        context=declared.context,
        media=media,
        ingest=declared.ingest,
        schema=row_schema(),
        adapters={source.name: adapter_class(source.adapter) for source in sources},
        options={source.name: declared.hashes(source) for source in sources},
    )


def refreshable(sources: Sequence[SourceOptions]) -> list[SourceOptions]:
    """The sources whose adapters fetch each item from its URL."""
    return [
        source for source in sources if adapter_class(source.adapter).partitioning is Partitioning.BY_WORKER
    ]


def warn_of_mixed_renderers(connection: duckdb.DuckDBPyConnection, pdf: PdfOptions) -> None:
    """Log a warning for a source whose earlier pages were rendered by another renderer."""
    chosen = pdf.renderer
    for source, renderer, pages in connection.execute(query("segments/renderers")).fetchall():
        if renderer not in (None, chosen):
            log.warning(
                "%s: %d pages were rendered by %s; this run renders further pages by %s (see pdf.renderer)",
                source,
                pages,
                renderer,
                chosen,
            )


def warn_of_bad_sidecars(workspace: Workspace, run: str) -> None:
    """Log a warning for each source with sidecars that this run could not decode or parse."""
    with read_catalog(workspace) as connection:
        found = connection.execute(
            query("segments/bad_sidecars"), {"run": run, "reason": Reason.BAD_SIDECAR}
        ).fetchall()
    for source, items in found:
        log.warning(
            "%s: the sidecars of %s items do not decode or parse; the items are stored without these texts "
            "(`meta` has the cause)",
            source,
            f"{items:,}",
        )


def with_renderer(media: MediaOptions) -> MediaOptions:
    """The options with the PDF renderer resolved, so that all tasks of a stage use the same renderer."""
    pdf = media.pdf.model_copy(update={"renderer": resolve_renderer(media.pdf)})
    return replace(media, pdf=pdf)
