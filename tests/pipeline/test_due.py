"""Later runs read transient failures again, with growing waits, up to a number of attempts."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

import derlem
from derlem.catalog.models import now

MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """Intervals whose sum is the offset of the coordinator's clock from the workers' clocks."""
    ahead: list[timedelta] = []

    def later() -> datetime:
        return now() + sum(ahead, timedelta())

    monkeypatch.setattr("derlem.pipeline.ingest.now", later)
    return ahead


def test_a_run_reads_due_items(faulty: str, tmp_path: Path, clock: list[timedelta]) -> None:
    source = {"name": "s", "adapter": faulty, "license": "MIT", "acts": ["fail", "good"]}
    ingest = {"workers": 1, "attempts": 3, "retry_after": 600}
    project = derlem.Project({"sources": [source], "ingest": ingest}, base=tmp_path)

    def requeued(ahead: timedelta) -> int:
        clock.append(ahead)
        return project.run().requeued

    first = project.run()
    [left] = first.left
    assert (left.source, left.reason, left.waiting, left.given_up) == ("s", "timeout", 1, 0)
    assert left.next_attempt is not None and 9 * MINUTE < left.next_attempt - now() <= 10 * MINUTE
    assert requeued(9 * MINUTE) == 0
    assert requeued(2 * MINUTE) == 1  # the second attempt, recorded by the worker's clock
    assert requeued(0 * MINUTE) == 0
    assert requeued(10 * MINUTE) == 1  # after twice the wait
    assert requeued(timedelta(days=9)) == 0
    [left] = project.run().left
    assert (left.waiting, left.given_up, left.next_attempt) == (0, 1, None)
    assert project.retry().items == 1
