"""The retry stage: re-queues failed items, whose cause may be transient."""

from __future__ import annotations

from collections.abc import Sequence

from ..catalog.connection import read_catalog
from ..catalog.models import now
from ..catalog.queries import query
from ..catalog.segments import row_schema
from ..catalog.status import Reason
from ..core.workspace import Workspace
from .segment_store import SegmentStore


def retry(sources: Sequence[str], store: SegmentStore, *, run: str, reason: Reason | None = None) -> int:
    """Put the sources' failed items (of one reason, if given) back to `discovered`; returns how many."""
    taken = 0
    for source in sources:
        with read_catalog(store.workspace) as connection:
            parameters = {"source": source, "run": run, "at": now(), "reason": reason}
            rows = connection.execute(query("segments/retryable"), parameters).to_arrow_table()
        if rows.num_rows:
            store.write_rows(source, "retry", run, rows.cast(row_schema()))
            taken += rows.num_rows
    store.commit()
    return taken


def count_retryable(sources: Sequence[str], workspace: Workspace, *, reason: Reason | None = None) -> int:
    """How many items `retry` would re-queue; writes nothing."""
    with read_catalog(workspace) as connection:
        [(items,)] = connection.execute(
            "SELECT count(*) FROM items WHERE status = 'failed' AND list_contains($sources, source)"
            " AND ($reason IS NULL OR reason = $reason)",
            {"sources": list(sources), "reason": reason},
        ).fetchall()
    return int(items)
