"""Defines the commands that query: `status`, `hosts`, `doctor`."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, astuple, fields
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from .shared import Invocation, echo, invocation, listing, to_json

if TYPE_CHECKING:
    from ..results import RunStatus, StatusResult

WAITING = ("source", "host", "reason", "waiting", "given up", "since", "next attempt")
"""The columns of waiting items."""

BAR = 30
"""Characters of a bar."""

ROWS = 50
"""Rows of waiting items in a table."""


@click.command()
@click.option("--watch", is_flag=True, help="Refresh every second until the run ends.")
@listing
@invocation
def status(call: Invocation, watch: bool, form: str) -> None:
    """Show the running or last run, the items of each source by status, and the items that wait.

    The run is shown with stage, rate, remaining time and last commit, a bar per source of the stage, and the
    last rejected items; items that wait with source, host, reason, time of the first failure, and time of
    the next attempt. With --format json, run, sources and waiting items are one object; with csv, only the
    sources are written.

    \b
    Example:
      derlem status --watch
    """
    project = call.project()
    while True:
        result = project.status()
        if watch and sys.stdout.isatty():
            click.clear()
        _show_status(result, form)
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
    from ..setup_checks import doctor as examine
    from .rendering import render

    findings = examine(*call.files, overrides=call.overrides, test_mode=call.test_mode)
    render(("check", "state", "detail"), [(f.check, f.state, f.detail) for f in findings], form)
    wrong = [finding.check for finding in findings if finding.state == "wrong"]
    if wrong:
        sys.exit(2 if "configuration" in wrong or "source" in wrong else 1)


def _show_status(result: StatusResult, form: str) -> None:
    from ..results import SourceProgress
    from .rendering import plain, render

    if form == "json":
        run = result.run and asdict(result.run) | {"seconds_left": result.run.seconds_left}
        sources, waiting = ([asdict(row) for row in rows] for rows in (result.sources, result.waiting))
        click.echo(to_json(plain({"run": run, "sources": sources, "waiting": waiting}), indent=2))
        return
    if result.run is not None:
        _show_run(result.run)
    columns = [column.name for column in fields(SourceProgress)]
    render(columns, [astuple(source) for source in result.sources], form)
    if form == "table" and result.waiting:
        render(WAITING, [astuple(items) for items in result.waiting[:ROWS]], form)
        if more := result.waiting[ROWS:]:
            items = sum(each.waiting + each.given_up for each in more)
            echo(f"{items:,} more items wait, of {len(more):,} hosts and reasons (--format json lists them)")


def _show_run(run: RunStatus) -> None:
    where = f", in {run.stage}" if run.state in ("running", "killed") else ""
    echo(f"run {run.run} ({run.command}): {run.state}{where}")
    if run.state in ("running", "killed"):
        left = run.seconds_left
        of = "" if run.total is None else f" of {run.total:,}"
        eta = "" if left is None else f", about {timedelta(seconds=round(left))} left"
        echo(f"  {run.done:,}{of}, {run.rate:.1f}/s in the last minute{eta}; as of {run.updated_at[:19]}Z")
        _show_sources(run)
    committed = f"{run.last_commit[:19]}Z" if run.last_commit else "none yet"
    echo(f"  started {run.started_at[:19]}Z, last commit {committed}")
    if run.error:
        echo(f"  {run.error}")
    for rejected in run.rejections:
        echo(f"  rejected {rejected}")
    for stage, counts in run.counts.items():
        echo(f"  {stage}: " + ", ".join(f"{key} {count:,}" for key, count in counts.items()))


def _show_sources(run: RunStatus) -> None:
    """A bar per source of the present stage, with rate and remaining time."""
    from .bars import speed

    width = max(map(len, run.sources), default=0)
    for name, steps in run.sources.items():
        filled = BAR * steps.done // max(steps.total, 1)
        bar = "#" * filled + "." * (BAR - filled)
        echo(f"  {name:{width}} [{bar}] {steps.done:,}/{steps.total:,} {speed(steps)}".rstrip())
