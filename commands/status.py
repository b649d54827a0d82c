"""What asks the catalog: `status` and `sql`. They import little, so that they answer at once."""

from __future__ import annotations

import time
from collections.abc import Iterator

import duckdb

from ..catalog.connection import read_catalog
from ..core.errors import QueryError
from ..pipeline.state import has_died, last_state
from .app import App, say
from .rendering import Table


def progress(app: App, watch: bool) -> Iterator[Table]:
    """The last run and the progress of all sources; again every second while it runs, if `watch`."""
    while True:
        working = False
        if (state := last_state(app.workspace)) is not None:
            died = has_died(state)
            working = state.state == "running" and not died
            how = "killed" if died else state.state
            where = f", in {state.stage}" if working or died else ""
            say(f"run {state.run} ({state.command}): {how}{where}")
            for stage, counts in state.counts.items():
                say(f"  {stage}: " + ", ".join(f"{key} {count:,}" for key, count in counts.items()))
        yield answer(app, "FROM progress")
        if not watch or not working:
            return
        time.sleep(1.0)


def answer(app: App, text: str) -> Table:
    """The answer to a query; QueryError with the database's message if it is none."""
    with read_catalog(app.workspace) as connection:
        try:
            result = connection.execute(text)
            columns = [column[0] for column in result.description or []]
            return columns, list(result.fetchall())
        except duckdb.Error as error:
            raise QueryError(str(error)) from error
