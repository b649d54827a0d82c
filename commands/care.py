"""What cares for the catalog: `audit`, and `catalog compact`, `rebuild` and `migrate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..catalog import maintenance
from ..catalog.audit import load_audits, run_audits
from ..catalog.connection import read_catalog
from ..corpus.restore import restore_corpora
from ..corpus.shard_scan import inventory
from ..pipeline.purge import remains
from ..pipeline.state import read_states
from .app import App, say
from .status import answer
from .work import locked


def audit(app: App) -> tuple[Sequence[str], list[Sequence[Any]], bool]:
    """Audit the catalog and the shards; a row per audit, and whether an error audit has rows."""
    audits = load_audits([Path(folder) for folder in app.loaded.config.audit.paths])
    found = inventory(app.workspace, remains(app.workspace), app.loaded.config.ingest.workers)
    with read_catalog(app.workspace) as connection:
        results = run_audits(connection, audits, found)
    rows: list[Sequence[Any]] = [
        (result.audit.name, result.audit.severity, result.count, result.audit.meaning, result.examples)
        for result in results
    ]
    failed = any(result.failed for result in results)
    return ("audit", "severity", "rows", "meaning", "first rows"), rows, failed


def compact(app: App) -> None:
    """Rewrite the catalog file."""
    if _nothing_but(app, "rewrite the catalog file"):
        return
    with locked(app):
        before, after = maintenance.compact(app.workspace)
    say(f"{before:,} bytes before, {after:,} after")


def rebuild(app: App) -> None:
    """Make the catalog anew from what lies in the workspace."""
    if _nothing_but(app, "make the catalog anew from the segments"):
        return
    with locked(app):
        runs = [asdict(state) for state in read_states(app.workspace)]
        maintenance.rebuild(app.workspace, runs, restore_corpora)
    _, rows = answer(app, "SELECT (SELECT count(*) FROM segments), (SELECT count(*) FROM items)")
    say(f"{rows[0][0]:,} segments, {rows[0][1]:,} items")


def migrate(app: App) -> None:
    """Bring the catalog to this version's schema."""
    if _nothing_but(app, "bring the catalog to this schema version"):
        return
    with locked(app):
        before, after = maintenance.migrate(app.workspace)
    say(f"schema version {before} before, {after} now")


def _nothing_but(app: App, what: str) -> bool:
    """Whether this is a dry run, which then says what it would do."""
    if app.dry_run:
        say(f"dry run: would {what}")
    return app.dry_run
