"""Maintains the catalog file: rebuild from the segments, compact, migrate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb

from ..core.durable import rename, sync_file
from ..core.errors import CatalogMissing, CatalogUnreadable, CatalogVersionError
from ..core.workspace import Workspace
from .connection import (
    READ_WAIT,
    WRITE_WAIT,
    check_version,
    create_schema,
    create_views,
    interruptible,
    opened,
    read_catalog,
    reporting_damage,
    reporting_memory,
    schema_steps,
    schema_version,
    settings,
    transaction,
    write_catalog,
)
from .losses import SegmentsLost, StoreEmpty, missing
from .queries import SCHEMA_VERSION, query, quoted
from .runs import record_run
from .segment_files import inspect, stored
from .segments import merge
from .sources import read_provenance, restore_source

TABLES = (
    "sources", "items", "withdrawn_hashes", "runs", "segments", "manifests", "manifest_rows", "allocations",
    "exclusions", "shards", "corpus_files",
)  # fmt: skip
"""The catalog's tables, without the table of the schema version."""

DERIVED = ("item_counts", "dedup_items", "stratum_sizes", "dedup_index")
"""Tables that can be computed from other tables."""

Restore = Callable[[duckdb.DuckDBPyConnection, Workspace], Any]
"""Restores the tables of another room from the files of that room."""


def rebuild(workspace: Workspace, runs: list[dict[str, Any]], restore: Restore) -> None:
    """Build the catalog from the files of the workspace; the old file is replaced at the end.

    `runs` are the contents of the state files, `restore` fills the tables of corpora from their folders.
    The caller holds the workspace's lock. Raises StoreEmpty and SegmentsLost, and then changes nothing.
    """
    check_store(workspace)
    with _replacement(workspace) as connection:
        create_schema(connection)
        for registered in read_provenance(workspace):
            restore_source(connection, registered)
        merge(connection, [inspect(workspace, path) for path in stored(workspace)])
        for state in runs:
            record_run(connection, state)
        restore(connection, workspace)


def catch_up(workspace: Workspace, runs: list[dict[str, Any]], restore: Restore) -> None:
    """Merge the segments that a copy of the catalog lacks; take registry, runs and corpora from the files.

    For the arguments, see `rebuild`. The caller holds the workspace's lock.
    """
    with write_catalog(workspace) as connection:
        known = {name for (name,) in connection.execute("SELECT segment FROM segments").fetchall()}
        new = [path for path in stored(workspace) if f"{path.parent.name}/{path.stem}" not in known]
        merge(connection, [inspect(workspace, path) for path in new])
        with transaction(connection):
            for registered in read_provenance(workspace):
                connection.execute("DELETE FROM sources WHERE source = ?", [registered.source])
                restore_source(connection, registered)
        for state in runs:
            record_run(connection, state)
        with transaction(connection):
            restore(connection, workspace)


def check_store(workspace: Workspace) -> None:
    """Raise StoreEmpty, or SegmentsLost for missing numbers or missing segments of the catalog."""
    if not stored(workspace):
        raise StoreEmpty(workspace.store)
    known: list[str] = []
    with (
        suppress(CatalogMissing, CatalogUnreadable, CatalogVersionError),
        read_catalog(workspace) as connection,
    ):
        known = [name for (name,) in connection.execute("SELECT segment FROM segments").fetchall()]
    if lost := missing(workspace, known):
        raise SegmentsLost(lost)


def catalog_size(workspace: Workspace) -> int:
    """Return the bytes of the catalog file; CatalogMissing without one."""
    if not workspace.catalog.exists():
        raise CatalogMissing(workspace.catalog)
    return workspace.catalog.stat().st_size


def compact(workspace: Workspace) -> tuple[int, int]:
    """Rewrite the catalog without the space of replaced rows; returns its size before and after, in bytes."""
    before = catalog_size(workspace)
    with _replacement(workspace) as connection:
        create_schema(connection)
        # exclusive: no process reads the old file during the copy and the replacement
        with opened(workspace, read_only=False, wait=WRITE_WAIT) as held:
            check_version(held, workspace.catalog)
        connection.execute(f"ATTACH '{_literal(workspace.catalog)}' AS old (READ_ONLY)")
        for table in (*TABLES, *DERIVED):
            order = " ORDER BY source, ordinal, item_id" if table == "items" else ""
            connection.execute(f"INSERT INTO {quoted(table)} SELECT * FROM old.{quoted(table)}{order}")
        connection.execute("DETACH old")
    return before, workspace.catalog.stat().st_size


def plan_migration(workspace: Workspace) -> tuple[int, int]:
    """Return the schema version of the catalog, and its version after `migrate`; writes nothing.

    Raises the exceptions of `migrate`.
    """
    if not workspace.catalog.exists():
        raise CatalogMissing(workspace.catalog)
    with opened(workspace, read_only=True, wait=READ_WAIT) as connection:
        before = schema_version(connection)
    if before > SCHEMA_VERSION:
        raise CatalogVersionError(workspace.catalog, before, SCHEMA_VERSION)
    return before, SCHEMA_VERSION


def migrate(workspace: Workspace) -> tuple[int, int]:
    """Apply the missing schema steps; return the version before and after.

    A step and its record are one transaction. A catalog of a newer derlem is an error.
    """
    if not workspace.catalog.exists():
        raise CatalogMissing(workspace.catalog)
    with opened(workspace, read_only=False, wait=WRITE_WAIT) as connection:
        before = schema_version(connection)
        if before > SCHEMA_VERSION:
            raise CatalogVersionError(workspace.catalog, before, SCHEMA_VERSION)
        for number, name in schema_steps():
            if number > before:
                with transaction(connection):
                    connection.execute(query(name))
                    connection.execute("INSERT INTO catalog_schema VALUES (?)", [number])
        with transaction(connection):
            create_views(connection)
        return before, schema_version(connection)


@contextmanager
def _replacement(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database that replaces the catalog at the end of the block, unless an exception is raised."""
    temporary = workspace.root / ".catalog.new.duckdb"
    for leftover in (temporary, Path(f"{temporary}.wal")):
        leftover.unlink(missing_ok=True)
    connection = duckdb.connect(str(temporary), config=settings(workspace))
    try:
        with reporting_memory(workspace), reporting_damage(workspace), interruptible(connection):
            yield connection
            connection.execute("CHECKPOINT")
        connection.close()
        temporary.chmod(0o600)
        sync_file(temporary)
        Path(f"{workspace.catalog}.wal").unlink(missing_ok=True)
        rename(temporary, workspace.catalog)
    finally:
        connection.close()
        temporary.unlink(missing_ok=True)
        Path(f"{temporary}.wal").unlink(missing_ok=True)


def _literal(path: Path) -> str:
    return str(path).replace("'", "''")
