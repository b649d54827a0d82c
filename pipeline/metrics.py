"""Writes the metrics of a workspace as a file for Prometheus' node_exporter (its textfile collector).

The format is the Prometheus text exposition format 0.0.4. The file is replaced atomically.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from ..core.durable import DiskError, replacing
from .state import RunState

log = logging.getLogger("derlem.pipeline")

COUNT_SECONDS = 15.0
"""Minimum seconds between two counts of the catalog's items."""

Sample = tuple[Mapping[str, str], float]


class MetricsFile:
    """The metrics file of one run."""

    def __init__(self, path: Path | None) -> None:
        """With `path` None nothing is counted or written."""
        self._path = path
        self._items: list[Sample] = []
        self._last_success: float | None = None
        self._counted = float("-inf")
        self._failed = False

    def count(self, connection: duckdb.DuckDBPyConnection, *, now: bool = False) -> None:
        """Count items by source and status, unless that was done less than COUNT_SECONDS ago."""
        if self._path is None or (not now and time.monotonic() - self._counted < COUNT_SECONDS):
            return
        rows = connection.execute(
            "SELECT source, status, CAST(sum(items) AS BIGINT) FROM item_counts"
            " GROUP BY source, status ORDER BY source, status"
        ).fetchall()
        self._items = [({"source": source, "status": status}, items) for source, status, items in rows]
        [(success,)] = connection.execute("SELECT max(finished_at) FROM runs WHERE state = 'done'").fetchall()
        self._last_success = None if success is None else success.replace(tzinfo=UTC).timestamp()
        self._counted = time.monotonic()

    def write(self, state: RunState) -> None:
        """Replace the file; an error is logged once and does not end the run."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._path) as file:
                file.write(self._text(state).encode())
        except (DiskError, OSError) as error:
            if not self._failed:
                log.warning("the metrics file %s cannot be written: %s", self._path, error)
            self._failed = True
        else:
            self._failed = False

    def _text(self, state: RunState) -> str:
        states = ("running", "done", "failed", "interrupted")
        families = [
            _family("derlem_items", "Items by source and status.", self._items),
            _family(
                "derlem_run_state",
                "1 for the state of the running or last run.",
                [({"state": name}, float(name == state.state)) for name in states],
            ),
            _family(
                "derlem_run_info",
                "The running or last run.",
                [({"run": state.run, "stage": state.stage, "version": state.version}, 1)],
            ),
            _family(
                "derlem_run_updated_timestamp_seconds",
                "Last write of this file.",
                [({}, round(time.time(), 3))],
            ),
            _family(
                "derlem_stage_items_done", "Steps of the present stage that are done.", [({}, state.done)]
            ),
            _family("derlem_stage_items_per_second", "Rate in the last minute.", [({}, state.rate)]),
            _family("derlem_worker_deaths", "Workers lost in the run.", [({}, state.worker_deaths)]),
            _family(
                "derlem_worker_memory_peak_bytes",
                "Largest worker of the run.",
                [({}, state.worker_memory_peak)],
            ),
        ]
        optional: dict[str, tuple[str, float | None]] = {
            "derlem_run_started_timestamp_seconds": ("Start of the run.", _seconds(state.started_at)),
            "derlem_run_finished_timestamp_seconds": ("End of the run.", _seconds(state.finished_at)),
            "derlem_last_commit_timestamp_seconds": ("Last commit of the run.", _seconds(state.last_commit)),
            "derlem_last_success_timestamp_seconds": (
                "End of the last run that was done.",
                self._last_success,
            ),
            "derlem_stage_items_total": ("Steps of the present stage, as far as known.", state.total),
        }
        families += [
            _family(name, text, [({}, value)])
            for name, (text, value) in optional.items()
            if value is not None
        ]
        return "".join(families)


def _family(name: str, text: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        pairs = ",".join(f'{label}="{_escaped(each)}"' for label, each in labels.items())
        lines.append(f"{name}{{{pairs}}} {value}" if pairs else f"{name} {value}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _seconds(text: str | None) -> float | None:
    """Seconds since the epoch of a time in a state file (ISO format, UTC without an offset)."""
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
