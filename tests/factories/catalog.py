"""Rows of the catalog's tables: `item_row` fills in every column that a test leaves out.

All functions take an open connection, to a catalog in memory or in a workspace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from derlem.catalog.connection import create_schema
from derlem.catalog.counts import recount
from derlem.catalog.manifests import manifest_number
from derlem.catalog.models import item_id
from derlem.catalog.segments import row_schema

Row = dict[str, Any]

WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901)
"""When everything happens, unless a test states otherwise."""


@cache
def _blank() -> Row:
    columns: Row = dict.fromkeys(row_schema().names)
    return columns | {
        "source": "s",
        "uri": "u",
        "locator": "",
        "ordinal": 0,
        "partition_key": "",
        "category": "",
        "status": "ready",
        "attempts": 1,
        "images": 1,
        "license": "CC0-1.0",
        "meta": "{}",
        "locator_state": "{}",
        "revision": "",
        "image_revision": "",
        "record_hash": "",
        "options_hash": "",
        "run": "r",
        "discovered_at": WHEN,
        "updated_at": WHEN,
    }


def item_row(**columns: Any) -> Row:
    """A row of `items` less `segment`: ready, and named by its source, uri and locator."""
    row = _blank() | columns
    if row["item_id"] is None:
        row["item_id"] = item_id(row["source"], row["uri"], row["locator"])
    return row


def memory_catalog() -> duckdb.DuckDBPyConnection:
    """A new, empty catalog in memory."""
    connection = duckdb.connect(":memory:")
    create_schema(connection)
    return connection


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows to a table; columns that all rows leave out are NULL."""
    if rows:
        connection.register("given_rows", pa.Table.from_pylist([dict(row) for row in rows]))
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM given_rows")
        connection.unregister("given_rows")
    if table == "items":
        recount(connection)


def insert_source(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    *,
    license: str = "CC0-1.0",
    homepage: str | None = None,
    config: str = "{}",
) -> None:
    """Declare a source after those that are declared already."""
    [(position,)] = connection.execute("SELECT count(*) FROM sources").fetchall()
    row = source_row(name, position, license=license, homepage=homepage, config=config)
    insert(connection, "sources", [row])


def source_row(
    name: str, position: int, *, license: str = "CC0-1.0", homepage: str | None = None, config: str = "{}"
) -> Row:
    """A declared source as a row of `sources`."""
    source = {"source": name, "position": position, "adapter": "files", "license": license, "config": config}
    config_hash = hashlib.sha256(config.encode()).hexdigest()
    return source | {
        "homepage": homepage,
        "config_hash": config_hash,
        "listed_hash": config_hash,
        "declared_at": WHEN,
    }


def insert_items(
    connection: duckdb.DuckDBPyConnection, rows: Sequence[Row], *, segment: str = "s/000001"
) -> None:
    """Append rows of `item_row`, as of one segment."""
    insert(connection, "items", [{**row, "segment": segment} for row in rows])


def insert_segment(
    connection: duckdb.DuckDBPyConnection,
    source: str = "s",
    number: int = 1,
    *,
    kind: str = "ingest",
    items: int = 0,
    tar_bytes: int = 0,
    written_at: datetime = WHEN,
) -> None:
    """Record a segment as merged: every change of items comes with one."""
    place = {
        "segment": f"{source}/{number:06d}",
        "source": source,
        "number": number,
        "kind": kind,
        "run": "r",
    }
    facts = {"items": items, "tar_bytes": tar_bytes, "written_at": written_at}
    insert(connection, "segments", [place | facts])


ALLOCATIONS = """
INSERT INTO allocations BY NAME
WITH strata AS (
    SELECT category, source, count(*) AS n FROM given_rows GROUP BY ALL
), nodes AS (
    SELECT category AS node, source, n, row_number() OVER (ORDER BY category, source) - 1 AS stratum
    FROM strata
    UNION ALL
    SELECT array_to_string(parts[1:depth], '/'), '', sum(n), NULL
    FROM (
        SELECT n, CASE WHEN category = '' THEN [] ELSE string_split(category, '/') END AS parts FROM strata
    ), LATERAL (SELECT unnest(range(len(parts) + 1)) AS depth)
    GROUP BY ALL
)
SELECT
    $name AS corpus, node, source, n AS available, 0 AS floor, n AS cap, NULL AS share,
    n AS allocated, 'all there is' AS why, stratum
FROM nodes
"""

ROWS = """
INSERT INTO manifest_rows BY NAME
SELECT $number AS manifest, position, item_id, stratum, repeat
FROM given_rows AS held
INNER JOIN allocations AS a ON a.corpus = $name AND a.node = held.category AND a.source = held.source
ORDER BY position
"""


def store_manifest(
    connection: duckdb.DuckDBPyConnection, name: str, rows: Sequence[tuple[str, int]], *, seed: int = 0
) -> None:
    """Store a manifest without a draw: (item_id, repeat) in the order of the corpus.

    An item that the catalog lacks is of the source 'unknown'. An earlier manifest of the name is replaced.
    """
    number = manifest_number(connection, name)
    connection.execute("DELETE FROM manifest_rows WHERE manifest = ?", [number])
    for table in ("manifests", "allocations", "exclusions"):
        connection.execute(f"DELETE FROM {table} WHERE corpus = ?", [name])
    strata = connection.execute("SELECT item_id, category, source FROM items").fetchall()
    place = {found: (category, source) for found, category, source in strata}
    held = []
    for position, (item, repeat) in enumerate(rows):
        category, source = place.get(item, ("", "unknown"))
        row = {"position": position, "item_id": item, "repeat": repeat}
        held.append({**row, "category": category, "source": source})
    if held:
        connection.register("given_rows", pa.Table.from_pylist(held))
        connection.execute(ALLOCATIONS, {"name": name})
        connection.execute(ROWS, {"name": name, "number": number})
        connection.unregister("given_rows")
    if table == "items":
        recount(connection)
    facts = {"corpus": name, "number": number, "seed": seed, "config": "{}"}
    facts |= {"target": len(rows), "selected": len(rows)}
    fingerprint = hashlib.sha256(repr(list(rows)).encode()).hexdigest()
    insert(connection, "manifests", [facts | {"fingerprint": fingerprint, "run": "r", "drawn_at": WHEN}])
