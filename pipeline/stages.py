"""The inbound stages as commands call them: what is asked for, in a session, with progress."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from ..adapters.base import Context, Partitioning, SourceOptions
from ..adapters.registry import adapter_class
from ..catalog.connection import read_catalog, write_catalog
from ..catalog.queries import query
from ..catalog.segments import row_schema
from ..catalog.sources import Declared
from ..catalog.status import Status
from ..core.errors import DerlemError
from ..core.workspace import Workspace
from ..media.media_options import MediaOptions
from ..media.pdf import PdfOptions, resolve_renderer
from .discover import Listing, discover, open_listings, refuse_empty
from .executors.local import LocalExecutor
from .ingest import carry_out, ingest
from .ingest_options import IngestOptions
from .job import Job
from .progress import meter
from .refresh import plan_again
from .run import Session, declare, write_provenance
from .segment_writer import WrittenSegment

log = logging.getLogger("derlem.pipeline")


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalog knows of a source before a stage."""

    config_hash: str
    items: int
    next_ordinal: int


def known_sources(workspace: Workspace) -> dict[str, Known]:
    """What the catalog knows, by source; nothing if there is no catalog."""
    if not workspace.catalog.exists():
        return {}
    with read_catalog(workspace) as connection:
        return _known_sources(connection)


def _known_sources(connection: duckdb.DuckDBPyConnection) -> dict[str, Known]:
    rows = connection.execute(query("segments/known_sources")).fetchall()
    return {source: Known(config_hash, items, ordinal) for source, config_hash, items, ordinal in rows}


def check_sources(
    sources: Sequence[SourceOptions], context: Context, limit: int | None
) -> dict[str, tuple[int, int]]:
    """What discovering would do, without writing anything: (listed, already known) by source."""
    known = known_sources(context.workspace)
    result = {}
    with tempfile.TemporaryDirectory(prefix="derlem-dry-run-") as notes:
        for listing in checked_listings(sources, replace(context, dry_notes=Path(notes)), limit):
            name = listing.source.name
            with meter(f"list {name}") as shown:
                listed = 0
                for batch in listing.batches:
                    listed += len(batch)
                    shown.advance(len(batch))
            result[name] = (listed, known[name].items if name in known else 0)
    return result


def checked_listings(sources: Sequence[SourceOptions], context: Context, limit: int | None) -> list[Listing]:
    """Begin to list the sources; ConfigError for a wrong declaration or an empty source, nothing written."""
    known = known_sources(context.workspace)
    listings = open_listings(sources, context, limit)
    refuse_empty(listings, {name: found.items for name, found in known.items()})
    return listings


def run_discover(
    session: Session, listings: Sequence[Listing], declared: Sequence[Declared]
) -> list[DerlemError]:
    """Register all declared sources and list those that were begun to their end.

    A source whose listing fails on the way keeps what was listed; the others go on. Returns the errors.
    """
    session.state.enter("discover")
    with write_catalog(session.workspace) as connection:
        known = _known_sources(connection)
        declare(session.workspace, connection, declared)
    hashes = {source.source: source.config_hash for source in declared}
    troubles: list[DerlemError] = []
    for listing in listings:
        name = listing.source.name
        try:
            _discover_one(session, listing, known.get(name), hashes[name])
        except DerlemError as error:
            log.error("%s: %s", name, error)
            troubles.append(error)
    return troubles


def _discover_one(session: Session, listing: Listing, before: Known | None, config_hash: str) -> None:
    name = listing.source.name
    with meter(f"discover {name}") as shown:

        def progress(listed: int, new: int) -> None:
            shown.advance(listed, new=new)
            session.state.count("discover", {name: new})

        discover(
            listing,
            session.store,
            run=session.run,
            first_ordinal=before.next_ordinal if before else 0,
            amend=before is not None and before.config_hash != config_hash,
            progress=progress,
        )


def run_ingest(
    session: Session,
    sources: Sequence[SourceOptions],
    context: Context,
    media: MediaOptions,
    options: IngestOptions,
) -> None:
    """Settle everything of the given sources that waits."""
    session.state.enter("ingest")
    media = with_renderer(media)
    job = Job(
        run=session.run,
        context=context,
        media=media,
        ingest=options,
        schema=row_schema(),
        adapters={source.name: adapter_class(source.adapter) for source in sources},
    )
    with LocalExecutor(job) as executor, ExitStack() as stack:
        with read_catalog(session.workspace) as connection:
            items = waiting(connection, sources)
            executor.start(items)  # beside the planning
            warn_of_mixed_renderers(connection, media.pdf)
        shown = stack.enter_context(meter("ingest", items))

        def progress(segment: WrittenSegment) -> None:
            pages = segment.statuses.get("discovered", 0)
            counts = {status: count for status, count in segment.statuses.items() if status != "discovered"}
            shown.grow(pages)
            shown.advance(segment.items - pages, **counts)
            state = session.state
            state.state.worker_memory_peak = executor.peak_memory
            state.state.worker_deaths = executor.deaths
            state.count("ingest", {**counts, "bytes": segment.payload_bytes})

        ingest(sources, session.store, executor, job, progress)
        session.state.state.worker_memory_peak = executor.peak_memory
        session.state.state.worker_deaths = executor.deaths
    write_provenance(session.workspace)


def run_refresh(
    session: Session,
    sources: Sequence[SourceOptions],
    context: Context,
    media: MediaOptions,
    options: IngestOptions,
) -> tuple[int, Counter[str]]:
    """Ask again for what is ready; how many pictures are new, and how many items stay, by why."""
    session.state.enter("refresh")
    adapters = {source.name: adapter_class(source.adapter) for source in sources}
    job = Job(session.run, context, media, options, row_schema(), adapters)
    new, kept = 0, Counter[str]()
    with read_catalog(session.workspace) as connection:
        items = ready(connection, sources)
    with meter("refresh", items) as shown:

        def tell(counts: Counter[str]) -> None:
            kept.update(counts)
            shown.advance(counts.total(), **counts)
            session.state.count("refresh", dict(counts))

        def progress(segment: WrittenSegment) -> None:
            nonlocal new
            if segment.tar is None:  # amendments of items that stay
                return
            new += segment.items
            shown.advance(segment.items, new=segment.items)
            session.state.count("refresh", {"new": segment.items})

        with LocalExecutor(job, tell) as executor:
            carry_out(plan_again(sources, session.store, job), session.store, executor, progress)
    write_provenance(session.workspace)
    return new, kept


def ready(connection: duckdb.DuckDBPyConnection, sources: Sequence[SourceOptions]) -> int:
    """How many items of the sources are ready."""
    return _count(connection, sources, Status.READY)


def refreshable(sources: Sequence[SourceOptions]) -> list[SourceOptions]:
    """Those of the sources whose items are fetched one by one from their addresses."""
    return [
        source for source in sources if adapter_class(source.adapter).partitioning is Partitioning.BY_WORKER
    ]


def warn_of_mixed_renderers(connection: duckdb.DuckDBPyConnection, pdf: PdfOptions) -> None:
    """Say so when pages of a source will be drawn by another renderer than those before."""
    chosen = pdf.renderer
    for source, renderer, pages in connection.execute(query("segments/renderers")).fetchall():
        if renderer not in (None, chosen):
            log.warning(
                "%s: %d pages were drawn by %s; this run draws further ones by %s (pdf.renderer chooses)",
                source,
                pages,
                renderer,
                chosen,
            )


def waiting(connection: duckdb.DuckDBPyConnection, sources: Sequence[SourceOptions]) -> int:
    """How many items of the sources wait to be read."""
    return _count(connection, sources, Status.DISCOVERED)


def _count(connection: duckdb.DuckDBPyConnection, sources: Sequence[SourceOptions], status: Status) -> int:
    found = connection.execute(
        "SELECT count(*) FROM items WHERE status = ? AND list_contains(?, source)",
        [status, [source.name for source in sources]],
    ).fetchall()
    return int(found[0][0])


def with_renderer(media: MediaOptions) -> MediaOptions:
    """The options with the PDF renderer chosen, once for the whole stage."""
    pdf = media.pdf.model_copy(update={"renderer": resolve_renderer(media.pdf)})
    return replace(media, pdf=pdf)
