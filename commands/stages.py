"""Defines the commands that fill the catalog: `run`, `discover`, `ingest`, `refresh`, `retry`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from .shared import Invocation, echo, invocation

if TYPE_CHECKING:
    from ..core.errors import DerlemError
    from ..results import BuildResult, DiscoverResult, IngestResult, RefreshResult, RunResult, SampleResult


SHOWN = 20
"""Groups of failed items that `run` shows."""


@click.command()
@click.option("--refresh", is_flag=True, help="Fetch stored images again first.")
@invocation
def run(call: Invocation, refresh: bool) -> None:
    """Run all stages: discover, ingest, sample, build, audit.

    A repeated run completes interrupted and failed work. Exit code 3 when an error audit has rows.

    \b
    Example:
      derlem run
      derlem -c derlem.yaml -c cloud.yaml run
    """
    result = call.project(workers=True).run(refresh=refresh, dry_run=call.dry_run)
    if result.dry_run:
        _show_listing(result.discover)
        if result.ingest is not None:
            _show_counts(result.ingest.pending, "pending items")
        echo("dry run: the later stages (ingest, sample, build, audit) depend on the discovered items")
        return
    _show_listing(result.discover)
    if result.refresh is not None:
        show_refresh(result.refresh)
    if result.ingest is not None:
        show_ingest(result.ingest, sum(source.changes.rejected for source in result.discover.sources))
    if result.sample is not None:
        show_redraw(result.sample)
    if result.build is not None:
        show_build(result.build)
    if result.released:
        echo("the corpus is released: it is not drawn or built again (`derlem audit` shows later changes)")
    failed = _show_audits(result)
    _show_left(result)
    _raise_first(result.errors)
    if failed:
        sys.exit(3)


@click.command()
@click.argument("sources", nargs=-1)
@invocation
def discover(call: Invocation, sources: Sequence[str]) -> None:
    """List sources (default: all) into the catalog.

    \b
    Example:
      derlem discover
      derlem discover stamps bundle
    """
    result = call.project().discover(*sources, dry_run=call.dry_run)
    _show_listing(result)
    _raise_first(result.errors)


@click.command()
@click.argument("sources", nargs=-1)
@invocation
def ingest(call: Invocation, sources: Sequence[str]) -> None:
    """Read, normalize and store pending items.

    \b
    Example:
      derlem ingest
      derlem --set ingest.workers=8 ingest bundle
    """
    result = call.project(workers=True).ingest(*sources, dry_run=call.dry_run)
    if result.dry_run:
        _show_counts(result.pending, "pending items")
    else:
        show_ingest(result)


@click.command()
@click.argument("sources", nargs=-1)
@invocation
def refresh(call: Invocation, sources: Sequence[str]) -> None:
    """Fetch images from their URLs again, and store changed images.

    Requests are conditional: unchanged images are not transferred. An item keeps its image until a new image
    is stored, regardless of the server's response.

    \b
    Example:
      derlem refresh
      derlem refresh web && derlem build
    """
    result = call.project(workers=True).refresh(*sources, dry_run=call.dry_run)
    if result.dry_run:
        _show_counts(result.ready, "items would be fetched again")
    else:
        show_refresh(result)


@click.command()
@click.argument("sources", nargs=-1)
@click.option("--reason", help="Only items that failed with this reason code.")
@invocation
def retry(call: Invocation, sources: Sequence[str], reason: str | None) -> None:
    """Re-queue failed items; rejections are final.

    \b
    Example:
      derlem retry && derlem ingest
      derlem retry web --reason timeout
    """
    result = call.project().retry(*sources, reason=reason, dry_run=call.dry_run)
    would = "would be re-queued" if result.dry_run else "re-queued"
    echo(f"{result.items:,} failed items {would}")


def _show_left(result: RunResult) -> None:
    """Show failed items by host and reason, with the time of the next attempt."""
    for left in result.left[:SHOWN]:
        where = f"{left.source}, {left.host}" if left.host else left.source
        if left.next_attempt is not None:
            at = left.next_attempt.isoformat(timespec="seconds")
            echo(f"{where}: {left.waiting:,} {left.reason}: left for a run after {at}Z")
        if left.given_up:
            echo(f"{where}: {left.given_up:,} {left.reason}: given up, `derlem retry` re-queues them")
    if more := result.left[SHOWN:]:
        items = sum(left.waiting + left.given_up for left in more)
        echo(f"{items:,} more items wait in {len(more):,} groups: `derlem status` lists them")


def show_ingest(result: IngestResult, rejected_when_listed: int = 0) -> None:
    """Show the numbers of rejected and failed items, if there are any."""
    rejected = result.statuses.get("rejected", 0) + rejected_when_listed
    counts = {"rejected": rejected, "failed": result.statuses.get("failed", 0)}
    lost = [f"{count:,} {name}" for name, count in counts.items() if count]
    if lost:
        echo(f'{" and ".join(lost)}: `derlem sql "FROM rejections"` lists the reasons')


def show_refresh(result: RefreshResult) -> None:
    """Show the numbers of new and unchanged images, with causes."""
    for warning in result.warnings:
        echo(f"warning: {warning}")
    unchanged = result.kept.get("unchanged", 0)
    others = "".join(f", {count:,} {why}" for why, count in sorted(result.kept.items()) if why != "unchanged")
    echo(f"refresh: {result.new:,} new, {unchanged:,} unchanged" + (others and f"; kept{others}"))


def show_redraw(result: SampleResult) -> None:
    """Show why a sample replaced an earlier one."""
    if result.why:
        echo(f"sample {result.plan.options.name}: drawn again, {result.why}")


def show_build(result: BuildResult) -> None:
    """Show the corpus and its size."""
    if result.dry_run:
        echo(
            f"{result.name}: {result.samples:,} samples in {result.shards:,} shards, "
            f"about {result.bytes:,} bytes"
        )
        return
    echo(
        f"corpus {result.name}: {result.samples:,} samples in {result.shards:,} shards, "
        f"{result.bytes:,} bytes, in {result.folder}"
    )


def _show_listing(result: DiscoverResult) -> None:
    """Show the changes of each source; a dry run also shows sources without changes."""
    for source in result.sources:
        changes = source.changes
        found = {
            "new": changes.new if source.known else 0,
            "changed (read again)": changes.changed,
            "re-queued by changed options": changes.outdated,
            "with other texts or category": changes.amended,
            "gone": changes.gone,
            "rejected when listed": changes.rejected,
            "listed twice (dropped)": changes.repeated,
            "changed, but withdrawn": changes.withdrawn,
        }
        notes = ", ".join(f"{count:,} {what}" for what, count in found.items() if count)
        if result.dry_run:
            counts = f"{changes.listed:,} items listed, {source.known:,} known"
            echo(f"{source.source}: {counts}" + (notes and f": {notes}"))
        elif notes:
            echo(f"{source.source}: {notes}")
        if changes.unlisted:
            echo(f"warning: {source.source}: {changes.unlisted}")


def _show_counts(counts: Mapping[str, int], what: str) -> None:
    for source, count in counts.items():
        echo(f"{source}: {count:,} {what}")


def _show_audits(result: RunResult) -> bool:
    """Show one line per finding; return whether an error audit has rows."""
    from .rendering import named

    if result.audit is None:
        echo("no `sample:` is configured: discovered and ingested, nothing to build")
        return False
    for found in result.audit.findings:
        audit = found.audit
        first = named(found.examples[0])
        echo(f"audit {audit.name} ({audit.severity}): {found.count:,} rows, such as {first}. {audit.meaning}")
    failed = result.audit.failed
    clean = f"clean ({len(result.audit.results)} audits)"
    echo("audit: " + ("failed, see `derlem audit`" if failed else clean))
    return failed


def _raise_first(errors: Sequence[DerlemError]) -> None:
    """Raise the error of the first failed listing, after all other work of the command."""
    if errors:
        raise errors[0]
