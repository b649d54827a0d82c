"""Defines the commands of the copy in a bucket: `sync push|pull|status`."""

from __future__ import annotations

import click

from .shared import Invocation, echo, invocation, listing


@click.group()
def sync() -> None:
    """Keep a copy of the workspace in a bucket, and restore from it.

    With `sync.url` configured, every command that changes the workspace pushes its commits by itself.

    \b
    Example:
      derlem sync status
    """


@sync.command()
@invocation
def push(call: Invocation) -> None:
    """Push everything that the copy lacks. A copy that is ahead is never overwritten.

    \b
    Example:
      derlem sync push
    """
    result = call.project().sync_push(dry_run=call.dry_run)
    if result.dry_run:
        echo(f"dry run: would push {result.files:,} files of segments, {result.bytes:,} bytes")
    else:
        snapshot = ", with a copy of the catalog" if result.snapshot else ""
        echo(f"pushed {result.files:,} files, {result.bytes:,} bytes{snapshot}; commit {result.commit}")


@sync.command()
@click.option("--at", metavar="TIME|RUN", help="Restore the state at a time (UTC) or at the end of a run.")
@click.option("--discard", is_flag=True, help="Give up what is local only.")
@invocation
def pull(call: Invocation, at: str | None, discard: bool) -> None:
    """Bring the workspace to the newest state of its copy, or to an earlier one.

    Files are verified by their sha256. An earlier state is for an empty workspace, or needs --discard; later
    withdrawals stay in force.

    \b
    Example:
      derlem sync pull
      derlem --set workspace=before sync pull --at 2026-11-30T12:00
    """
    result = call.project().sync_pull(at=at, discard=discard, dry_run=call.dry_run)
    would = "dry run: would pull" if result.dry_run else "pulled"
    restored = f", {result.restored}" if result.restored else ""
    echo(f"{would} {result.files:,} files, {result.bytes:,} bytes; commit {result.commit}{restored}")


@sync.command()
@listing
@invocation
def status(call: Invocation, form: str) -> None:
    """Compare the workspace with its copy: segment files that are equal, local only and remote only.

    \b
    Example:
      derlem sync status --format json
    """
    from .rendering import render

    result = call.project().sync_status()
    holder = result.holder
    rows = [
        ("url", result.url),
        ("commit", result.commit),
        ("held here", result.held),
        ("pushed at", result.pushed_at),
        ("pushed by", result.pushed_by),
        ("equal", result.equal),
        ("local only", len(result.local_only)),
        ("remote only", len(result.remote_only)),
        ("differing", len(result.differing)),
        ("lag, seconds", None if result.lag is None else round(result.lag)),
        ("catalog copies", ", ".join(map(str, result.snapshots)) or None),
        ("lease", None if holder is None else "pid {pid} on {host}, since {since}".format(**holder)),
        ("restored", result.restored),
    ]
    render(("what", "value"), rows, form)
