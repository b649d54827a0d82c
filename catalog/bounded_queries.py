"""Runs a user's query in a process of its own, with limits on time, memory, rows and size of the answer.

DuckDB's own limits do not cover every allocation (one list of a billion numbers), and not every function can
be interrupted, so that a server never runs a user's query itself. `python -m` runs this module as the child.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from ..core.errors import DerlemError, QueryError
from ..core.workspace import Workspace
from .user_queries import single, user_connection

CELL = 2_000
"""Characters of a cell in the answer."""
_GRACE = 3.0
"""Seconds beyond the time limit for the start of the process and the opening of the catalog."""


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """Limits of a query: seconds, rows, megabytes of DuckDB's memory and of the process's address space."""

    seconds: float = 10.0
    rows: int = 500
    memory: int = 512
    address_space: int = 4_096


@dataclass(frozen=True, slots=True)
class BoundedRows:
    """The answer: column names, rows of texts (None for NULL), whether rows were left out, and the time.

    Long cells are cut, with `…` at the end.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    more: bool
    seconds: float


def run_bounded(workspace: Workspace, text: str, limits: QueryLimits | None = None) -> BoundedRows:
    """Run one statement within limits. Raises QueryError, also for a query that exceeds a limit."""
    limits = limits or QueryLimits()
    request = {"root": str(workspace.root), "text": text, "limits": asdict(limits)}
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", f"from {__name__} import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        out, _ = process.communicate(json.dumps(request).encode(), timeout=limits.seconds + _GRACE)
    except subprocess.TimeoutExpired:
        raise QueryError(_too_long(limits)) from None
    finally:
        process.kill()
        process.wait()
    if process.returncode != 0:
        if time.monotonic() - started >= limits.seconds:
            raise QueryError(_too_long(limits))
        raise QueryError(_too_large(limits))
    answer = json.loads(out)
    if "error" in answer:
        raise QueryError(answer["error"])
    return BoundedRows(
        tuple(answer["columns"]),
        tuple(tuple(row) for row in answer["rows"]),
        answer["more"],
        time.monotonic() - started,
    )


def main() -> None:
    """Answer the request on stdin, in the child process."""
    request = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # DuckDB writes a progress bar to stdout
    limits = QueryLimits(**request["limits"])
    resource.setrlimit(resource.RLIMIT_AS, (limits.address_space * 2**20,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seconds = int(limits.seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds * (os.cpu_count() or 1),) * 2)
    try:
        answer = _answer(Workspace(Path(request["root"])), request["text"], limits)
    except MemoryError:
        answer = {"error": _too_large(limits)}
    except DerlemError as error:
        answer = {"error": str(error)}
    json.dump(answer, answers)
    answers.flush()
    os._exit(0)  # an interrupted query may still hold threads


def _answer(workspace: Workspace, text: str, limits: QueryLimits) -> dict[str, object]:
    settings = (f"SET memory_limit = '{limits.memory}MB'", "SET temp_directory = ''")
    with user_connection(workspace, settings) as connection:
        statement = single(connection, text)
        if statement.type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
            raise QueryError("only queries are allowed: the catalog is open for reading")
        timer = threading.Timer(limits.seconds, connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            result = connection.execute(statement)
            columns = [column[0] for column in result.description or []]
            found = result.fetchmany(limits.rows + 1)
        except duckdb.OutOfMemoryException:
            raise QueryError(_too_large(limits)) from None
        except duckdb.InterruptException:
            raise QueryError(_too_long(limits)) from None
        rows = [[_cell(value) for value in row] for row in found[: limits.rows]]
    return {"columns": columns, "rows": rows, "more": len(found) > limits.rows}


def _cell(value: object) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= CELL else f"{text[:CELL]}…"


def _too_large(limits: QueryLimits) -> str:
    return f"the query needs more than {limits.memory} MB of memory"


def _too_long(limits: QueryLimits) -> str:
    return f"the query took longer than {limits.seconds:g} s and was ended"
