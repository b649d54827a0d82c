"""A catalog in memory, small enough to check by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .catalog import (
    insert,
    insert_items,
    insert_segment,
    item_row,
    memory_catalog,
    source_row,
    store_manifest,
)

Place = tuple[str, str]
"""(category, source); the source of a category itself is ''."""


@dataclass(frozen=True)
class Row:
    """An item of a test catalog."""

    item_id: str
    source: str
    category: str
    content: str
    status: str = "ready"


class SmallCatalog:
    """A catalog in memory that can be filled again and again."""

    def __init__(self) -> None:
        self.connection = memory_catalog()

    def fill(self, rows: Sequence[Row], sources: Sequence[str], **columns: Mapping[str, Any]) -> None:
        """Replace everything by these rows, in this order; `columns` give values by item_id.

        One thread, until a test sets more: on so few rows, threads cost a third of the time.
        """
        self.connection.execute("SET threads = 1")
        tables = ("sources", "items", "manifests", "manifest_rows", "allocations", "exclusions")
        self.connection.execute("; ".join(f"DELETE FROM {table}" for table in tables))
        insert(self.connection, "sources", [source_row(name, place) for place, name in enumerate(sources)])
        self.add(rows, **columns)
        if not rows:
            self.merged()

    def merged(self) -> None:
        """Count one more segment: items have changed, and in a workspace only segments change them."""
        insert_segment(self.connection)

    def add(self, rows: Sequence[Row], **columns: Mapping[str, Any]) -> None:
        """Append items."""
        if not rows:
            return
        items = [
            item_row(
                item_id=row.item_id,
                source=row.source,
                uri=row.item_id,
                ordinal=ordinal,
                category=row.category,
                status=row.status,
                sha256=hashlib.sha256(row.content.encode()).hexdigest(),
                **{name: given[row.item_id] for name, given in columns.items() if row.item_id in given},
            )
            for ordinal, row in enumerate(rows)
        ]
        insert_items(self.connection, items)
        self.merged()

    def hold(self, name: str, rows: Sequence[tuple[str, int]]) -> None:
        """Store a manifest by hand: (item_id, repeat) in any order."""
        store_manifest(self.connection, name, rows)

    def manifest(self, name: str) -> list[tuple[str, int, str, str]]:
        """(item_id, repeat, category, source) in order; positions are checked to be 0, 1, 2, ..."""
        rows = self.connection.execute(
            "SELECT position, item_id, repeat, category, source "
            "FROM manifest WHERE corpus = ? ORDER BY position",
            [name],
        ).fetchall()
        assert [row[0] for row in rows] == list(range(len(rows)))
        return [row[1:] for row in rows]

    def seats(self, name: str) -> dict[Place, int]:
        """The allocations' numbers."""
        return {
            (node, source): allocated
            for node, source, allocated in self.connection.execute(
                "SELECT node, source, allocated FROM allocations WHERE corpus = ?", [name]
            ).fetchall()
        }
