"""What takes items down again: `withdraw`."""

from __future__ import annotations

from ..corpus.layout import parse_key
from ..corpus.withdraw import withdraw_from_corpora
from ..pipeline.progress import meter
from ..pipeline.purge import find_purgeable, purge
from ..pipeline.run import write_provenance
from ..pipeline.withdraw import Takedown, find
from ..pipeline.withdraw import withdraw as mark_withdrawn
from .app import App, say
from .work import begun, locked


def withdraw(app: App, source: str | None, key: str | None, where: str | None, purging: bool) -> None:
    """Mark items as withdrawn and write the shards that held one again; purge store and cache of them."""
    if key is not None and (parsed := parse_key(key)):
        key = parsed[0]  # of a repeat, too
    nothing_more = purging and (source, key, where) == (None, None, None)
    takedown = None if nothing_more else Takedown(source, key, where)
    if app.dry_run:
        if takedown is not None:
            rows = find(app.workspace, takedown, "")
            say(f"{takedown}: {rows.num_rows:,} items would be withdrawn")
        if purging:
            before = find_purgeable(app.workspace, "").num_rows
            say(f"{before:,} items that are withdrawn already would be purged")
        return
    with locked(app), begun(app) as work:
        work.state.enter("withdraw")
        if takedown is not None:
            counts = mark_withdrawn(work.store, takedown, work.run)
            for name, count in counts.items():
                say(f"{name}: {count:,} items withdrawn")
            if not counts:
                say(f"{takedown}: nothing is left to withdraw")
        with meter("rebuild shards") as shown:
            touched = withdraw_from_corpora(
                app.workspace,
                work.run,
                app.loaded.config.ingest.workers,
                lambda samples, _: shown.advance(samples),
            )
        if purging:
            for name, count in purge(work.store, work.run).items():
                say(f"{name}: {count:,} items purged from store and cache")
        write_provenance(app.workspace)
    for found, built in touched:
        went = f"{sum(found.samples.values()):,} samples gone"
        if found.redrawn:
            went += ", drawn anew since it was built"
        shards = (
            "not built" if built is None else f"{built.rewritten} of {len(built.shards)} shards rewritten"
        )
        say(f"corpus {found.name}: {went}, {shards}")
