"""The prompt of `derlem sql --shell`: statements end with a semicolon, Tab completes, the history is kept.

Each statement opens the catalog for itself, so that an open prompt never blocks the commits of a run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import DerlemError
from .shared import Invocation, echo

if TYPE_CHECKING:
    from ..project import Project

HISTORY = 1000
"""Lines of history that are kept."""

KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY ALL", "ORDER BY", "LIMIT", "JOIN", "LEFT JOIN", "HAVING", "COUNT",
    "DESCRIBE", "SUMMARIZE", "WITH", "UNION ALL", "FILTER", "EXISTS", "BETWEEN", "DISTINCT",
)  # fmt: skip

NAMES = """
SELECT DISTINCT name FROM (
    SELECT table_name AS name FROM information_schema.tables
    UNION ALL
    SELECT column_name FROM information_schema.columns WHERE table_schema = 'main'
) ORDER BY name
"""


def open_shell(call: Invocation) -> None:
    """Open harlequin where it is installed and stdin is a terminal, else the plain prompt."""
    project = call.project()
    if sys.stdin.isatty() and find_spec("harlequin") is not None:
        from .harlequin_adapter import open_harlequin

        open_harlequin(project)
    else:
        plain_prompt(project, keep_history=not call.dry_run)


def plain_prompt(project: Project, *, keep_history: bool) -> None:
    """Read statements from stdin until its end or `.quit`, and print each result as a table."""
    from .rendering import render

    if sys.stdin.isatty():
        _prepare_readline(project, keep_history)
        echo("Statements end with a semicolon. FROM funnel; shows a view, .quit or Ctrl-D ends.")
    for statement in statements():
        started = time.perf_counter()
        try:
            columns, rows = project.rows(statement)
        except DerlemError as error:
            echo(f"Error: {error}")
            continue
        render(columns, rows, "table")
        echo(f"{len(rows):,} rows in {time.perf_counter() - started:.2f} s")


def statements() -> Iterator[str]:
    """Statements from stdin, without their semicolons; one may span lines, and Ctrl-C drops it."""
    terminal = sys.stdin.isatty()
    lines: list[str] = []
    while True:
        try:
            line = input(("  ...> " if lines else "derlem> ") if terminal else "")
        except EOFError:
            if terminal:
                echo("")
            break
        except KeyboardInterrupt:
            if not terminal:
                raise
            echo("")
            lines = []
            continue
        if not lines and line.strip() in (".quit", ".exit"):
            return
        if line.strip():
            lines.append(line)
        if line.rstrip().endswith(";"):
            yield "\n".join(lines).rstrip().rstrip(";")
            lines = []
    if lines:
        yield "\n".join(lines)


def completions(names: Sequence[str], start: str) -> list[str]:
    """Names of tables, views and columns, and keywords, that continue `start`, without regard to case."""
    return [name for name in (*names, *KEYWORDS) if name.lower().startswith(start.lower())] if start else []


def _prepare_readline(project: Project, keep_history: bool) -> None:
    """Set completion, and read the history of the workspace and keep it at the end of the process."""
    import atexit

    try:
        import readline
    except ImportError:  # a Python without it, as on Windows: the prompt works, without completion
        return
    try:
        names = [name for (name,) in project.rows(NAMES)[1]]
    except DerlemError as error:
        echo(f"no completion of names: {error}")
        names = []

    def complete(text: str, state: int) -> str | None:
        found = completions(names, text)
        return found[state] if state < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n,()=<>;.'\"")
    readline.parse_and_bind(
        "bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete"
    )
    history = project.workspace.state / "sql_history"
    if history.exists():
        readline.read_history_file(history)
    if keep_history:
        readline.set_history_length(HISTORY)
        atexit.register(_keep_history, history)


def _keep_history(path: Path) -> None:
    import readline

    path.parent.mkdir(parents=True, exist_ok=True)
    readline.write_history_file(path)
