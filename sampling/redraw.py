"""Compares a new draw with the stored manifest of its name: whether it differs, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import duckdb

from .candidates import is_stored
from .plan import Plan
from .sample_options import SampleOptions


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A stored manifest: its fingerprint and rows, its options, and the candidates of each stratum."""

    fingerprint: str
    selected: int
    config: dict[str, Any]
    available: dict[tuple[str, str], int]


def stored_manifest(connection: duckdb.DuckDBPyConnection, name: str) -> StoredManifest | None:
    """The stored manifest of a name, or None."""
    rows = connection.execute(
        "SELECT fingerprint, selected, config FROM manifests WHERE corpus = ?", [name]
    ).fetchall()
    if not rows:
        return None
    [(fingerprint, selected, config)] = rows
    strata = connection.execute(
        "SELECT node, source, available FROM allocations WHERE corpus = ? AND source <> ''", [name]
    ).fetchall()
    available = {(node, source): count for node, source, count in strata}
    return StoredManifest(fingerprint, selected, json.loads(config), available)


def keep_extension(connection: duckdb.DuckDBPyConnection, options: SampleOptions) -> SampleOptions:
    """The options with the extension of the stored manifest, where they declare none.

    A manifest that was drawn with `sample --extend` is drawn again as an extension of the same manifest,
    or of itself if that one is no longer stored.
    """
    earlier = stored_manifest(connection, options.name)
    extend = earlier.config.get("extend") if earlier and options.extend is None else None
    if extend is None:
        return options
    kept = extend if is_stored(connection, extend) else options.name
    return options.model_copy(update={"extend": kept})


def changed_options(earlier: StoredManifest, options: SampleOptions) -> list[str]:
    """The names of options with other values than those of the stored manifest."""
    config = options.model_dump(mode="json")
    return [name for name in config if name in earlier.config and earlier.config[name] != config[name]]


def why_redrawn(earlier: StoredManifest, plan: Plan) -> str:
    """The difference to the earlier draw in one line: changed options, and numbers of candidates."""
    changed = changed_options(earlier, plan.options)
    available = {(node.category, node.source): node.available for node in plan.nodes if node.source}
    strata = available.keys() | earlier.available.keys()
    changes = [available.get(place, 0) - earlier.available.get(place, 0) for place in strata]
    more, fewer = sum(max(0, change) for change in changes), sum(max(0, -change) for change in changes)
    parts = [f"options changed ({', '.join(changed)})"] if changed else []
    if more:
        parts.append(f"{more:,} more candidates")
    if fewer:
        parts.append(f"{fewer:,} fewer candidates")
    if not parts and plan.options.extend not in (None, plan.options.name):
        parts.append(f"the candidates or the extended manifest {plan.options.extend!r} changed")
    return ", ".join(parts) or "other candidates, as many as before"
