"""Defines the commands on samples and corpora: `sample`, `build`, `audit`, `release`, `drop`, `withdraw`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from .shared import Invocation, echo, invocation, listing
from .stages import show_build, show_redraw

if TYPE_CHECKING:
    from ..results import AuditReport, ManifestDiff, Plan, StoredCorpus, WithdrawResult
    from .rendering import Table


@click.command()
@click.option("--extend", metavar="PREVIOUS", help="Keep the valid part of a stored sample's selection.")
@click.option("--diff", nargs=2, metavar="A B", help="Compare two stored samples instead.")
@listing
@invocation
def sample(call: Invocation, extend: str | None, diff: tuple[str, str] | None, form: str) -> None:
    """Draw the configured sample; with --dry-run, show the allocation with its reasons.

    \b
    Example:
      derlem --dry-run sample
      derlem sample --extend tr-vlm-v1
    """
    from .rendering import render

    project = call.project()
    if diff is not None:
        render(*_diff_table(project.diff(*diff)), form)
    else:
        drawn = project.sample(extend=extend, dry_run=call.dry_run)
        show_redraw(drawn)
        render(*_plan_table(drawn.plan), form)


@click.command()
@click.argument("name", required=False)
@invocation
def build(call: Invocation, name: str | None) -> None:
    """Write the sample as a corpus.

    \b
    Example:
      derlem build
      derlem --set corpus.format=parquet build
    """
    show_build(call.project().build(name, dry_run=call.dry_run))


@click.command()
@click.option("--deep", is_flag=True, help="Also compare every image in the store with its hash.")
@listing
@invocation
def audit(call: Invocation, form: str, deep: bool) -> None:
    """Check catalog and shards against each other; exit code 3 when an error audit has rows.

    \b
    Example:
      derlem audit --format json
      derlem audit --deep
    """
    report = call.project().audit(deep=deep, dry_run=call.dry_run)
    _show_audits(report, form)
    if report.failed:
        sys.exit(3)


@click.command()
@click.argument("name")
@invocation
def release(call: Invocation, name: str) -> None:
    """Freeze a built corpus: no draw or build changes it, only a takedown.

    Every shard is read and compared with its hash first. Audits compare a released corpus with its own
    manifest, and report later changes of the catalog as warnings.

    \b
    Example:
      derlem release tr-vlm-v1
    """
    corpus = call.project().release(name, dry_run=call.dry_run)
    if corpus.released_at is None:
        echo(f"corpus {name}: {_extent(corpus)} would be released")
    else:
        at = corpus.released_at.isoformat(sep=" ", timespec="seconds")
        echo(f"corpus {name}: {_extent(corpus)} released at {at} UTC")


@click.command()
@click.argument("name")
@invocation
def drop(call: Invocation, name: str) -> None:
    """Remove a stored sample and its corpus, also a released one; the items stay in the store.

    \b
    Example:
      derlem --dry-run drop tr-vlm-v0
      derlem drop tr-vlm-v0
    """
    corpus = call.project().drop(name, dry_run=call.dry_run)
    released = "released, " if corpus.released_at is not None else ""
    echo(f"corpus {name}: {released}{_extent(corpus)} {'would be ' if call.dry_run else ''}removed")
    if corpus.extended_by:
        echo(f"warning: extended by {', '.join(corpus.extended_by)}: set another `sample.extend` there")


def _extent(corpus: StoredCorpus) -> str:
    return f"{corpus.samples:,} samples in {corpus.shards:,} shards, {corpus.bytes:,} bytes,"


@click.command()
@click.option("--source", help="All items of a source.")
@click.option("--key", help="An item, by the key of its sample, and all items with the same image.")
@click.option("--where", help="Items that satisfy an SQL predicate.")
@click.option(
    "--purge", is_flag=True, help="Erase all withdrawn items, also earlier ones, from store and cache."
)
@invocation
def withdraw(call: Invocation, source: str | None, key: str | None, where: str | None, purge: bool) -> None:
    """Withdraw items, and remove them from manifests and built corpora.

    Only the shards with withdrawn items are rewritten. The pages of a withdrawn document are withdrawn, too.
    With --purge the bytes and texts of the items are also erased from segments and cache, and the audit
    searches for residue. --purge alone erases the items of earlier withdrawals.

    \b
    Example:
      derlem --dry-run withdraw --source web
      derlem withdraw --source web --purge
      derlem withdraw --key 0b1f6c2f9d6e4a0c8e1d2f3a4b5c6d7e
      derlem withdraw --where "uri LIKE 'https://example.org/%'"
    """
    project = call.project()
    result = project.withdraw(source=source, key=key, where=where, purge=purge, dry_run=call.dry_run)
    if result.dry_run:
        if result.selection is not None:
            items = sum(result.withdrawn.values())
            parts = f": {items - result.copies:,} selected, {result.copies:,} identical copies"
            echo(f"{result.selection}: {items:,} items would be withdrawn{parts if result.copies else ''}")
        if purge:
            purged = sum(result.purged.values())
            echo(f"{purged:,} items that are withdrawn already would be purged")
    else:
        _show_withdrawal(result)


def _show_withdrawal(result: WithdrawResult) -> None:
    for name, count in result.withdrawn.items():
        echo(f"{name}: {count:,} items withdrawn")
    if result.copies:
        echo(f"{result.copies:,} of these are identical copies of the selected items")
    if result.selection is not None and not result.withdrawn:
        echo(f"{result.selection}: nothing is left to withdraw")
    for name, count in result.purged.items():
        echo(f"{name}: {count:,} items purged from store and cache")
    for change in result.corpora:
        redrawn = ", drawn again since it was built" if change.redrawn else ""
        shards = "not built"
        if change.shards is not None:
            shards = f"{change.rewritten} of {change.shards} shards rewritten"
        echo(f"corpus {change.name}: {change.gone:,} samples gone{redrawn}, {shards}")


def _show_audits(report: AuditReport, form: str) -> None:
    from .rendering import named, render

    columns = ("audit", "severity", "rows", "meaning", "first rows")
    rows = [
        (found.audit.name, found.audit.severity, found.count, found.audit.meaning, found.examples)
        for found in report.results
    ]
    if form != "table":
        render(columns, rows, form)
        return
    render(columns[:3], [row[:3] for row in rows], form)
    for found in report.findings:
        click.echo(f"{found.audit.name} ({found.audit.severity}): {found.audit.meaning}")
        for row in found.examples:
            click.echo("  " + named(row))


def _plan_table(plan: Plan) -> Table:
    """The tree, then one row per reason for exclusion."""
    columns = ("node", "available", "share", "floor", "cap", "allocated", "why")
    rows: list[tuple[Any, ...]] = [
        (node.label, node.available, node.share, node.floor, node.cap, node.allocated, node.why)
        for node in plan.nodes
    ]
    rows += [
        (f"(excluded: {reason})", count, None, 0, 0, 0, "no candidates")
        for reason, count in plan.excluded.items()
    ]
    return columns, rows


def _diff_table(diff: ManifestDiff) -> Table:
    columns = ("node", "before", "went", "came", "after")
    rows = [
        (node.label, node.stayed + node.went, node.went, node.came, node.stayed + node.came)
        for node in diff.nodes
    ]
    return columns, rows
