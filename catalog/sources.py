"""The registry of sources in the catalog, and its mirror on disk: `store/<source>/provenance.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
from pydantic import TypeAdapter, ValidationError

from ..core.config_values import as_declared
from ..core.errors import DerlemError, first_problem
from ..core.masking import mask, mask_tree
from ..core.workspace import Workspace
from .connection import transaction
from .models import now
from .queries import query


@dataclass(frozen=True, slots=True)
class Declared:
    """The present declaration of a source.

    `config` is the declaration before paths are resolved, with the values of environment variables.
    """

    source: str
    adapter: str
    license: str
    homepage: str | None
    config: Mapping[str, Any]

    @property
    def config_text(self) -> str:
        """Return the declaration as canonical JSON: variables by name, secrets masked."""
        return _canonical(mask_tree(as_declared(self.config)))

    @property
    def config_hash(self) -> str:
        """sha256 (hex) of the declaration."""
        return hashlib.sha256(_canonical(self.config).encode()).hexdigest()


def _canonical(config: Mapping[str, Any]) -> str:
    return json.dumps(config, ensure_ascii=False, sort_keys=True, default=str)


def declare_sources(connection: duckdb.DuckDBPyConnection, declared: Sequence[Declared]) -> None:
    """Update the registry from the configuration, in one transaction.

    A source that is no longer declared keeps its row and gets `withdrawn_at`: its items are not candidates of
    draws, and the audits report its samples in corpora. A new declaration clears `withdrawn_at`.
    """
    before = {
        row[0]: row[1:]
        for row in connection.execute(
            "SELECT source, config_hash, declared_at, withdrawn_at, position, listed_hash FROM sources"
        ).fetchall()
    }
    with transaction(connection):
        for position, source in enumerate(declared):
            known = before.get(source.source)
            if (
                known is not None
                and known[0] == source.config_hash
                and known[2] is None
                and known[3] == position
            ):
                continue
            declared_at = known[1] if known is not None and known[0] == source.config_hash else now()
            connection.execute("DELETE FROM sources WHERE source = ?", [source.source])
            connection.execute(
                "INSERT INTO sources VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
                [
                    source.source,
                    position,
                    source.adapter,
                    source.license,
                    None if source.homepage is None else mask(source.homepage),
                    source.config_text,
                    source.config_hash,
                    declared_at,
                    None if known is None else known[4],
                ],
            )
        names = [source.source for source in declared]
        connection.execute(
            "UPDATE sources SET withdrawn_at = ? WHERE withdrawn_at IS NULL AND NOT list_contains(?, source)",
            [now(), names],
        )


def mark_listed(connection: duckdb.DuckDBPyConnection, source: str, config_hash: str) -> None:
    """Record that all items of the source are listed under the declaration of this hash."""
    connection.execute("UPDATE sources SET listed_hash = ? WHERE source = ?", [config_hash, source])


def provenance(connection: duckdb.DuckDBPyConnection, source: str) -> dict[str, Any] | None:
    """Return the content of a source's `provenance.json`; None for an unregistered source."""
    found = connection.execute("SELECT * FROM sources WHERE source = ?", [source])
    columns = [column[0] for column in found.description or []]
    rows = found.fetchall()
    if not rows:
        return None
    totals = connection.execute(query("counts/source_totals"), {"source": source})
    names = [column[0] for column in totals.description or []]
    [numbers] = totals.fetchall()
    revisions = connection.execute(query("counts/source_revisions"), {"source": source}).fetchall()
    facts = dict(zip(columns, rows[0], strict=True))
    facts["config"] = json.loads(facts["config"])
    return {**facts, "counts": dict(zip(names, numbers, strict=True)), "revisions": dict(revisions)}


@dataclass(frozen=True, slots=True)
class Registered:
    """A source's row of the registry, in the form of its provenance file."""

    source: str
    position: int
    adapter: str
    license: str
    homepage: str | None
    config: dict[str, Any]
    config_hash: str
    declared_at: datetime
    withdrawn_at: datetime | None
    listed_hash: str | None


class BadProvenance(DerlemError):
    """A `provenance.json` is damaged."""

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        super().__init__(
            f"{path} is damaged: {why}. Remove it: the next `derlem discover` declares the source anew"
        )


def restore_source(connection: duckdb.DuckDBPyConnection, registered: Registered) -> None:
    """Insert a registry row."""
    row = asdict(registered)
    row["config"] = _canonical(row["config"])
    connection.execute("INSERT INTO sources VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", list(row.values()))


def read_provenance(workspace: Workspace) -> list[Registered]:
    """Return the registry rows of all sources' provenance files. Raises BadProvenance."""
    adapter = TypeAdapter(Registered)
    found = []
    for path in sorted(workspace.store.glob("*/provenance.json")):
        try:
            found.append(adapter.validate_json(path.read_bytes()))
        except ValidationError as error:
            raise BadProvenance(path, first_problem(error)) from error
    return found
