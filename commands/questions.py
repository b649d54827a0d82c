"""Defines the commands that query: `status`, `hosts`, `doctor`."""

from __future__ import annotations

import sys
import time
from dataclasses import astuple, fields
from typing import TYPE_CHECKING

import click

from .shared import Invocation, echo, invocation, listing

if TYPE_CHECKING:
    from ..results import RunStatus


@click.command()
@click.option("--watch", is_flag=True, help="Refresh every second until the run ends.")
@listing
@invocation
def status(call: Invocation, watch: bool, form: str) -> None:
    """Show the running or last run and the items of each source by status.

    \b
    Example:
      derlem status --watch
    """
    from ..results import SourceProgress
    from .rendering import render

    project = call.project()
    columns = [column.name for column in fields(SourceProgress)]
    while True:
        result = project.status()
        if watch and sys.stdout.isatty():
            click.clear()
        if result.run is not None:
            _show_run(result.run)
        render(columns, [astuple(source) for source in result.sources], form)
        if not watch or result.run is None or result.run.state != "running":
            return
        time.sleep(1.0)


@click.command()
@click.option("--clear", metavar="HOST", help="End the pause of this host.")
@listing
@invocation
def hosts(call: Invocation, clear: str | None, form: str) -> None:
    """List the paused hosts, with the start and reason of the pause and the time of the next request.

    \b
    Example:
      derlem hosts
      derlem hosts --clear example.org && derlem retry && derlem ingest
    """
    from ..results import PausedHost
    from .rendering import render

    project = call.project()
    if clear is None:
        columns = [column.name for column in fields(PausedHost)]
        render(columns, [astuple(host) for host in project.hosts()], form)
    elif not project.clear_host(clear, dry_run=call.dry_run):
        echo(f"{clear} is not paused")
    else:
        echo(f"the pause of {clear} {'would be' if call.dry_run else 'is'} ended")


@click.command()
@listing
@invocation
def doctor(call: Invocation, form: str) -> None:
    """Check the machine, the configuration, the paths of sources and the workspace.

    Exit code 2 for a wrong configuration, 1 for anything else that is wrong.

    \b
    Example:
      derlem doctor
    """
    from ..project import doctor as examine
    from .rendering import render

    findings = examine(*call.files, overrides=call.overrides, test_mode=call.test_mode)
    render(("check", "state", "detail"), [(f.check, f.state, f.detail) for f in findings], form)
    wrong = [finding.check for finding in findings if finding.state == "wrong"]
    if wrong:
        sys.exit(2 if "configuration" in wrong or "source" in wrong else 1)


def _show_run(run: RunStatus) -> None:
    where = f", in {run.stage}" if run.state in ("running", "killed") else ""
    echo(f"run {run.run} ({run.command}): {run.state}{where}")
    if run.error:
        echo(f"  {run.error}")
    for stage, counts in run.counts.items():
        echo(f"  {stage}: " + ", ".join(f"{key} {count:,}" for key, count in counts.items()))
