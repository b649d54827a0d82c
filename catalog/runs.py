"""Records the runs that worked on a catalog."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import duckdb

from .connection import transaction


def record_run(connection: duckdb.DuckDBPyConnection, state: Mapping[str, Any]) -> None:
    """Insert or replace a run's row from its state file's content."""
    finished = state["finished_at"]
    with transaction(connection):
        connection.execute("DELETE FROM runs WHERE run = ?", [state["run"]])
        connection.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                state["run"],
                state["command"],
                state["version"],
                state["config_hash"],
                state["host"],
                datetime.fromisoformat(state["started_at"]),
                datetime.fromisoformat(finished) if finished else None,
                state["state"],
                state["stage"],
                state["error"],
            ],
        )
