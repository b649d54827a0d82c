"""Reports the items that wait for another attempt, with host, reason, first failure and next attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..catalog.connection import read_catalog
from ..catalog.models import now
from ..catalog.queries import query
from ..core.workspace import Workspace
from .ingest_options import IngestOptions


@dataclass(frozen=True, slots=True)
class FailedItems:
    """Items of a source and host that failed for a transient reason, or wait for a paused host.

    `host` is '' for items without a URL. `since` is the time of the first failure that is still recorded. A
    run at `next_attempt` or later reads the `waiting` items again. The `given_up` items are read again only
    after `retry`. Times are UTC.
    """

    source: str
    host: str
    reason: str
    waiting: int
    given_up: int
    since: datetime | None
    next_attempt: datetime | None


def left_failed(
    sources: Sequence[str], workspace: Workspace, options: IngestOptions, max_pause: float
) -> tuple[FailedItems, ...]:
    """The items of the sources that wait, by source, host and reason, those with most items first."""
    pauses = _pauses(workspace, max_pause)
    active = [host for host, (_, _, until) in pauses.items() if until > now()]
    parameters = {
        "sources": list(sources),
        "paused": active,
        "attempts": options.attempts,
        "wait": options.retry_after,
        "at": now(),
    }
    with read_catalog(workspace) as connection:
        rows = connection.execute(query("segments/left_failed"), parameters).fetchall()
    found = []
    for source, host, reason, *numbers in rows:
        items = FailedItems(source, host, reason or "", *numbers)
        if host in pauses:
            why, since, until = pauses[host]
            items = replace(items, reason=reason or why, since=min(since, items.since or since))
            if items.waiting and until > now():
                items = replace(items, next_attempt=max(until, items.next_attempt or until))
        found.append(items)
    return tuple(found)


def _pauses(workspace: Workspace, longest: float) -> dict[str, tuple[str, datetime, datetime]]:
    """Reason, first failure and end (UTC) of each pause after which the host has not answered."""
    if not workspace.ledger.exists():
        return {}
    from ..adapters.http.ledger import recorded_pauses

    return {
        host: (reason, _naive(since), _naive(until))
        for host, reason, since, until in recorded_pauses(workspace.ledger, longest)
    }


def _naive(time: datetime) -> datetime:
    """The time as the catalog has it: UTC without an offset."""
    return time.astimezone(UTC).replace(tzinfo=None)
