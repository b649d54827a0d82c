"""What fills the catalog: `run`, `discover`, `ingest`, `refresh`, `retry`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import duckdb

from ..adapters.base import SourceOptions
from ..catalog.connection import read_catalog, write_catalog
from ..catalog.status import Reason, Status
from ..core.errors import ConfigError, DerlemError
from ..core.suggest import did_you_mean
from ..pipeline.retry import retry as make_wait
from ..pipeline.run import Session
from ..pipeline.stages import (
    check_sources,
    checked_listings,
    ready,
    refreshable,
    run_discover,
    run_ingest,
    run_refresh,
    waiting,
)
from .app import App, say
from .rendering import named
from .status import answer
from .work import begun, locked

_MANY = 100_000
"""Items settled in a run, at whose end it is worked out what draws need to know of them all."""


def run(app: App, refreshing: bool) -> bool:
    """All stages to the end; whether an audit failed. If asked to, refresh what is ready first."""
    if app.dry_run:
        discover(app, ())
        say("dry run: what follows (ingest, sample, build, audit) depends on what is discovered")
        return False
    sources, options = app.sources(()), app.sample_options
    with locked(app):
        listings = checked_listings(
            sources, app.context, app.limit
        )  # before the session: a wrong declaration writes nothing
        with begun(app) as work:
            troubles = run_discover(work, listings, app.loaded.declared)
            if refreshing:
                _refresh(app, work, refreshable(sources))
            _ingest(app, work, sources)
            if options is not None:
                from .samples import build_shards, draw  # not before there are pictures to make it of

                draw(app, work, options, None)
                build_shards(app, work, options.name)
    if options is None:
        say("no `sample:` is configured: discovered and ingested, nothing to build")
        _raise_first(troubles)
        return False
    from .care import audit

    _, rows, failed = audit(app)
    for name, severity, count, meaning, first in rows:
        if count:
            say(f"audit {name} ({severity}): {count:,} rows, such as {named(first[0])}. {meaning}")
    say("audit: " + ("failed, see `derlem audit`" if failed else f"clean ({len(rows)} audits)"))
    _raise_first(troubles)
    return failed


def discover(app: App, names: Sequence[str]) -> None:
    """List sources into the catalog."""
    sources = app.sources(names)
    if app.dry_run:
        for name, (listed, known) in check_sources(sources, app.context, app.limit).items():
            say(f"{name}: {listed:,} items listed, {known:,} known")
        return
    with locked(app):
        listings = checked_listings(sources, app.context, app.limit)
        with begun(app) as work:
            troubles = run_discover(work, listings, app.loaded.declared)
    _raise_first(troubles)


def ingest(app: App, names: Sequence[str]) -> None:
    """Settle what waits."""
    sources = app.sources(names)
    if app.dry_run:
        _tell_counts(app, sources, waiting, "items wait to be read")
        return
    with locked(app), begun(app) as work:
        _ingest(app, work, sources)


def refresh(app: App, names: Sequence[str]) -> None:
    """Ask again for what is ready, and take what has changed."""
    sources = refreshable(app.sources(names))
    if strangers := sorted(set(names) - {source.name for source in sources}):
        raise ConfigError(f"{strangers[0]!r} is not fetched from addresses: there is nobody to ask again")
    if app.dry_run:
        _tell_counts(app, sources, ready, "items would be asked for again")
        return
    with locked(app), begun(app) as work:
        _refresh(app, work, sources)


def retry(app: App, names: Sequence[str], reason: str | None) -> None:
    """Let failed items wait again."""
    sources = [source.name for source in app.sources(names)]
    if reason is not None and reason not in set(Reason):
        raise ConfigError(f"there is no reason {reason!r}{did_you_mean(reason, Reason)}")
    if app.dry_run:
        _, rows = answer(app, "SELECT source, reason, items FROM rejections WHERE status = 'failed'")
        chosen = [row for row in rows if row[0] in sources and reason in (None, row[1])]
        say(f"{sum(row[2] for row in chosen):,} failed items would wait again")
        return
    with locked(app), begun(app) as work:
        count = make_wait(
            sources, work.store, run=work.run, reason=Reason(reason) if reason is not None else None
        )
    say(f"{count:,} failed items wait again")


def _ingest(app: App, work: Session, sources: Sequence[SourceOptions]) -> None:
    """Settle what waits, and work out what every draw from so much would have to."""
    run_ingest(work, sources, app.context, app.media, app.loaded.config.ingest)
    counts = work.state.state.counts.get("ingest", {})
    if sum(counts.get(status, 0) for status in Status) >= _MANY:
        from ..sampling.dedup_index import refresh  # of few items a draw finds it as quickly

        with write_catalog(app.workspace) as connection:
            refresh(connection)
    lost = [f"{counts[status]:,} {status}" for status in ("rejected", "failed") if counts.get(status)]
    if lost:
        say(f'{" and ".join(lost)}: `derlem sql "FROM rejections"` says why')


def _refresh(app: App, work: Session, sources: Sequence[SourceOptions]) -> None:
    context = app.context
    if sources and not context.fetch.cache:
        say("warning: with `fetch.cache: false` nothing is known of what was fetched: all is transferred")
    new, kept = run_refresh(work, sources, context, app.media, app.loaded.config.ingest)
    others = "".join(f", {count:,} {why}" for why, count in sorted(kept.items()) if why != "unchanged")
    say(
        f"refresh: {new:,} new, {kept['unchanged']:,} unchanged" + (others and f"; kept as they were{others}")
    )


def _tell_counts(
    app: App,
    sources: Sequence[SourceOptions],
    count: Callable[[duckdb.DuckDBPyConnection, Sequence[SourceOptions]], int],
    what: str,
) -> None:
    """Say of each source how many of its items a command would take up."""
    with read_catalog(app.workspace) as connection:
        for source in sources:
            say(f"{source.name}: {count(connection, [source]):,} {what}")


def _raise_first(troubles: Sequence[DerlemError]) -> None:
    """The error of a source whose listing failed on the way: said last, when all else is done."""
    if troubles:
        raise troubles[0]
