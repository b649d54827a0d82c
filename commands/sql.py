"""Defines the command `sql`: one statement, from the argument, a file or stdin, or a prompt."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from pathlib import Path

import click

from .shared import FORMATS, Invocation, echo, invocation


@click.command()
@click.argument("query", required=False)
@click.option("--file", "file", type=click.Path(path_type=Path), help="Read the statement from a file.")
@click.option(
    "--format",
    "form",
    type=click.Choice((*FORMATS, "parquet")),
    help="Format of the rows.  [default: that of the name of --output, else table]",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write the rows to this file, not to stdout.")
@click.option("--shell", "prompt", is_flag=True, help="Open a prompt with completion and history.")
@invocation
def sql(
    call: Invocation,
    query: str | None,
    file: Path | None,
    form: str | None,
    output: Path | None,
    prompt: bool,
) -> None:
    """Query the catalog with one SQL statement; `-` reads it from stdin.

    The statement can read the catalog only, and no files or network. It works while a run is going on.
    `--shell` opens harlequin where it is installed, and otherwise a plain prompt.

    \b
    Views: composition, duplicates, funnel, hosts, licenses, progress, quota_gaps,
    quota_report, rejections, run_history.

    \b
    Example:
      derlem sql "FROM composition"
      derlem sql "SELECT reason, count(*) FROM items GROUP BY ALL" --format csv
      derlem sql --file losses.sql --output losses.parquet
      derlem sql --shell
    """
    if prompt:
        if query or file or form or output:
            raise click.UsageError("--shell takes no statement, --format or --output")
        from .shell import open_shell

        open_shell(call)
        return
    if (query is None) == (file is None):
        raise click.UsageError("give one statement: QUERY, - for stdin, --file or --shell")
    text = file.read_text("utf-8") if file else sys.stdin.read() if query == "-" else query
    assert text is not None
    form = form or _form_of(output)
    project = call.project()
    if output is not None and call.dry_run:
        columns, rows = project.rows(text)
        echo(f"dry run: would write {len(rows):,} rows of {len(columns)} columns to {output}")
    elif form == "parquet":
        if output is None:
            raise click.UsageError("--format parquet needs --output")
        echo(f"{project.write_parquet(text, output):,} rows in {output}")
    else:
        _write(project.rows(text), form, output)


def _form_of(output: Path | None) -> str:
    suffix = output.suffix[1:].lower() if output else ""
    return suffix if suffix in ("json", "csv", "parquet") else "table"


def _write(found: tuple[list[str], list[tuple[object, ...]]], form: str, output: Path | None) -> None:
    from .rendering import render

    if output is None:
        with suppress(BrokenPipeError):
            render(*found, form)
        return
    from ..core.durable import replacing

    with replacing(output) as raw:
        text = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        render(*found, form, text)
        text.detach()  # flushes; `replacing` closes the file
    echo(f"{len(found[1]):,} rows in {output}")
