"""Defines the commands that create and maintain: `init`, `catalog compact|rebuild|repair|migrate`."""

from __future__ import annotations

from pathlib import Path

import click

from .shared import Invocation, echo, invocation


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default="derlem.yaml")
@invocation
def init(call: Invocation, path: Path) -> None:
    """Write a commented configuration to start from.

    \b
    Example:
      derlem init
      derlem init corpora/news.yaml
    """
    from ..setup_checks import init as write

    result = write(path, dry_run=call.dry_run)
    if result.dry_run:
        echo(f"dry run: would write {result.path}")
    else:
        echo(f"Wrote {result.path}. Edit its sources, then: derlem -c {result.path} run")


@click.group()
def catalog() -> None:
    """Maintain the catalog file.

    \b
    Example:
      derlem catalog compact
    """


@catalog.command()
@invocation
def compact(call: Invocation) -> None:
    """Rewrite the catalog without the space of replaced rows.

    \b
    Example:
      derlem catalog compact
    """
    result = call.project().catalog.compact(dry_run=call.dry_run)
    if result.after is None:
        echo(f"dry run: would rewrite the catalog of {result.before:,} bytes")
    else:
        echo(f"{result.before:,} bytes before, {result.after:,} after")


@catalog.command()
@invocation
def rebuild(call: Invocation) -> None:
    """Create the catalog again from segments, provenance files and corpora.

    \b
    Example:
      derlem catalog rebuild
    """
    result = call.project().catalog.rebuild(dry_run=call.dry_run)
    if result.items is None:
        echo(f"dry run: would rebuild the catalog from {result.segments:,} segments")
    else:
        echo(f"{result.segments:,} segments, {result.items:,} items")


@catalog.command()
@invocation
def repair(call: Invocation) -> None:
    """Record lost segments and damaged images; their items are read again by the next ingest.

    Every image in the store is compared with its hash. Damaged files are kept under names that end in
    `.lost`, but a segment in which only images are damaged stays. An unreadable catalog is rebuilt without
    the lost segments.

    \b
    Example:
      derlem --dry-run catalog repair
      derlem catalog repair && derlem run
    """
    result = call.project().catalog.repair(dry_run=call.dry_run)
    for name in result.segments:
        echo(f"{name}: lost")
    would = "would be " if result.dry_run else ""
    for source, items in sorted(result.images.items()):
        echo(f"{source}: {items:,} items with lost images {would}re-queued")
    if result.rebuilt:
        echo(f"the catalog is unreadable and {'would be' if result.dry_run else 'was'} rebuilt without them")
    if not result.segments and not result.images:
        echo("no segment is lost, and no image is damaged")


@catalog.command()
@invocation
def migrate(call: Invocation) -> None:
    """Bring a catalog of an older derlem to this version's schema.

    \b
    Example:
      derlem catalog migrate
    """
    result = call.project().catalog.migrate(dry_run=call.dry_run)
    would = "would be migrated to" if result.dry_run else "before, now"
    echo(f"schema version {result.before} {would} {result.after}")
