"""Draws a manifest and stores it: allocation, rows and fingerprint in one transaction.

The rows are those that `sql/sampling/draw.sql` defines; `fast_draw` finds them sooner.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import duckdb
import numpy as np
import pyarrow as pa

from ..catalog.connection import transaction
from ..catalog.manifests import manifest_number
from ..catalog.models import now
from ..catalog.queries import query, quoted
from .candidates import CandidateCounts, find_candidates
from .dedup_index import save as save_dedup_index
from .exclusion import Fingerprinter, read_hashes
from .fast_draw import ID_DIGITS, Ids, Integers, OrderedRows, digits, fast_draw
from .plan import NodePlan, Plan, make_plan
from .redraw import stored_manifest, why_redrawn
from .sample_options import SampleOptions
from .temp_tables import TempTables, temp_tables

log = logging.getLogger("derlem.sample")

ROW_GROUP = 122_880
"""Rows that DuckDB stores together, and compresses in one thread."""
GROUPS_AT_ONCE = 16
"""Row groups that are stored at a time; the first are fewer, so that storing begins soon."""

Part: TypeAlias = tuple[Ids, Integers, Integers]
"""Item ids, repeats and strata of consecutive rows."""


@dataclass(frozen=True, slots=True)
class SampleResult:
    """A stored manifest; `changed` is False where the same manifest was stored before.

    `why` is the difference to an earlier manifest of the name, '' if there was none or if it stays.
    """

    plan: Plan
    selected: int
    fingerprint: str
    changed: bool
    why: str = ""


def draw_sample(
    connection: duckdb.DuckDBPyConnection,
    options: SampleOptions,
    run: str,
    *,
    fingerprints: Fingerprinter = read_hashes,
) -> SampleResult:
    """Draw a manifest and store it under its name, in place of an earlier one of that name.

    The same catalog, seed and options give the same manifest and fingerprint; the stored rows then stay as
    they are. With `options.extend` every row of that stored manifest whose item is still a candidate stays.
    Raises what `plan_sample` does, before anything is written; a failure while writing leaves the earlier
    manifest.
    """
    with temp_tables(connection) as temp:
        counts = find_candidates(temp, options, fingerprints)
        save_dedup_index(temp)
        plan = make_plan(counts, options)
        # the strata that have seats; their places in this list are their numbers
        strata = [node for node in plan.nodes if node.source and node.allocated]
        rows = select_rows(temp, strata, counts, options)
        earlier = stored_manifest(connection, options.name)
        if earlier is None:
            return _store(connection, plan, strata, rows, run)
        if earlier.selected == plan.total and earlier.fingerprint == _fingerprint(
            connection, options, strata, rows
        ):
            _store_counts(connection, plan, strata)
            return SampleResult(plan, plan.total, earlier.fingerprint, False)
        why = why_redrawn(earlier, plan)
        log.info("manifest %s is drawn again: %s", options.name, why)
        return replace(_store(connection, plan, strata, rows, run), why=why)


def select_rows(
    temp: TempTables, strata: Sequence[NodePlan], counts: CandidateCounts, options: SampleOptions
) -> OrderedRows | None:
    """Select the manifest's rows; None where they are in `draw_rows`, as the definition gives them."""
    declare_strata(temp, strata, counts, options)
    seats, items = _remaining(strata, counts)
    categories, sources = [node.category for node in strata], [node.source for node in strata]
    rows = fast_draw(temp, categories, sources, seats, items, options.seed)
    if rows is None:
        temp.table("draw_rows", query("sampling/draw"), {"seed": options.seed})
    return rows


def declare_strata(
    temp: TempTables, strata: Sequence[NodePlan], counts: CandidateCounts, options: SampleOptions
) -> None:
    """Make the relations that `draw.sql` reads beside `draw_candidates`."""
    seats, items = _remaining(strata, counts)
    available = np.array([node.available for node in strata], dtype=np.int64)
    allocated = np.array([node.allocated for node in strata], dtype=np.int64)
    # a round begins once every item is in: as many as can be needed, whatever the kept rows are
    rounds = np.where(seats > items, allocated // np.maximum(available, 1) + 1, 1)
    temp.fill("draw_rounds", {"repeat": np.arange(options.max_repeats, dtype=np.int32)})
    columns = {
        "stratum": np.arange(len(strata), dtype=np.int32),
        "category": [node.category for node in strata],
        "source": [node.source for node in strata],
        "seats": seats,
        "rounds": rounds.astype(np.int32),
    }
    temp.fill("draw_strata", columns)
    if counts.kept_items:
        temp.table("draw_kept", query("sampling/kept"))


def _remaining(strata: Sequence[NodePlan], counts: CandidateCounts) -> tuple[Any, Any]:
    """Seats and items of each stratum beside those of the extended manifest, as int64 arrays."""
    kept_items = [counts.kept_items.get((node.category, node.source), 0) for node in strata]
    seats = np.array([node.allocated - node.kept for node in strata], dtype=np.int64)
    items = np.array([node.available for node in strata], dtype=np.int64) - np.array(kept_items, np.int64)
    return seats, items


def _store(
    connection: duckdb.DuckDBPyConnection,
    plan: Plan,
    strata: Sequence[NodePlan],
    rows: OrderedRows | None,
    run: str,
) -> SampleResult:
    """Write the manifest in place of an earlier one."""
    options = plan.options
    name, selected = options.name, sum(node.allocated for node in strata)
    with transaction(connection):
        number = manifest_number(connection, name)
        connection.execute("DELETE FROM manifest_rows WHERE manifest = ?", [number])
        connection.execute("DELETE FROM manifests WHERE corpus = ?", [name])
        connection.execute("SET preserve_insertion_order = true")  # so that positions lie in order
        digest = _Digest(options, strata)
        if rows is None:
            _store_defined(connection, number, digest)
        else:
            _store_ordered(connection, number, rows, digest)
        fingerprint = digest.hexdigest()
        manifest: dict[str, Any] = {
            "number": number,
            "seed": options.seed,
            "target": options.target,
            "selected": selected,
            "config": _config(plan),
            "fingerprint": fingerprint,
            "run": run,
            "drawn_at": now(),
        }
        _insert(connection, "manifests", name, {key: [value] for key, value in manifest.items()})
        _insert_counts(connection, plan, strata)
    log.info("manifest %s: %d of %d, fingerprint %s", name, selected, options.target, fingerprint[:12])
    return SampleResult(plan, selected, fingerprint, True)


def _store_counts(connection: duckdb.DuckDBPyConnection, plan: Plan, strata: Sequence[NodePlan]) -> None:
    """Store options and numbers of candidates beside the rows of an earlier draw, which stay."""
    with transaction(connection):
        values = {"corpus": plan.options.name, "config": _config(plan)}
        connection.execute("UPDATE manifests SET config = $config WHERE corpus = $corpus", values)
        _insert_counts(connection, plan, strata)


def _insert_counts(connection: duckdb.DuckDBPyConnection, plan: Plan, strata: Sequence[NodePlan]) -> None:
    """Replace the allocations and exclusions of a manifest."""
    name = plan.options.name
    for table in ("allocations", "exclusions"):
        connection.execute(f"DELETE FROM {quoted(table)} WHERE corpus = ?", [name])
    _insert(connection, "allocations", name, _allocations(plan, strata))
    names = ("category", "source", "reason", "items")
    excluded = {name: [getattr(found, name) for found in plan.exclusions] for name in names}
    _insert(connection, "exclusions", plan.options.name, excluded)


def _fingerprint(
    connection: duckdb.DuckDBPyConnection,
    options: SampleOptions,
    strata: Sequence[NodePlan],
    rows: OrderedRows | None,
) -> str:
    """The fingerprint of selected rows that are not stored; of `draw_rows` if they are None."""
    digest = _Digest(options, strata)
    if rows is None:
        drawn = connection.execute("SELECT item_id, repeat, stratum FROM draw_rows ORDER BY position")
        _digest_rows(drawn, digest)
    else:
        for start in range(0, len(rows), ROW_GROUP):
            digest.update(rows.part(start, min(start + ROW_GROUP, len(rows))))
    return digest.hexdigest()


class _Digest:
    """The fingerprint of a manifest: a hash of seed, options and strata, and of the rows column by column."""

    def __init__(self, options: SampleOptions, strata: Sequence[NodePlan]) -> None:
        places = [[node.category, node.source] for node in strata]
        self._whole = hashlib.sha256(json.dumps([options.seed, options.canonical(), places]).encode())
        # one for each column: rows may come in parts of any size
        self._columns = [hashlib.sha256() for _ in range(3)]

    def update(self, part: Part) -> None:
        for digest, column in zip(self._columns, part, strict=True):
            digest.update(column.view(np.uint8).data)

    def hexdigest(self) -> str:
        for digest in self._columns:
            self._whole.update(digest.digest())
        return self._whole.hexdigest()


def _store_defined(connection: duckdb.DuckDBPyConnection, number: int, digest: _Digest) -> None:
    """Store `draw_rows`, however many there are."""
    insert = (
        "INSERT INTO manifest_rows BY NAME SELECT $number AS manifest, * FROM draw_rows ORDER BY position"
    )
    connection.execute(insert, {"number": number})
    stored = connection.execute(
        "SELECT item_id, repeat, stratum FROM manifest_rows WHERE manifest = ? ORDER BY position", [number]
    )
    _digest_rows(stored, digest)


def _digest_rows(result: duckdb.DuckDBPyConnection, digest: _Digest) -> None:
    """Add the rows of a result (item_id, repeat, stratum), in order."""
    for batch in result.to_arrow_reader(ROW_GROUP):
        ids = np.ascontiguousarray(digits(batch.column("item_id"), ID_DIGITS)).reshape(-1)
        repeats, strata = (batch.column(name).to_numpy() for name in ("repeat", "stratum"))
        digest.update((ids.view(f"S{ID_DIGITS}"), repeats, strata))


def _store_ordered(
    connection: duckdb.DuckDBPyConnection, number: int, rows: OrderedRows, digest: _Digest
) -> None:
    """Store rows some row groups at a time, the next ones being gathered while DuckDB stores."""
    with ThreadPoolExecutor(max_workers=1) as maker, ThreadPoolExecutor(max_workers=1) as hasher:
        tables = _tables(rows, number, digest, hasher)
        coming = maker.submit(next, tables, None)
        while (table := coming.result()) is not None:
            coming = maker.submit(next, tables, None)
            connection.register("draw_batch", table)
            connection.execute("INSERT INTO manifest_rows BY NAME SELECT * FROM draw_batch")
            connection.unregister("draw_batch")


def _tables(
    rows: OrderedRows, number: int, digest: _Digest, hasher: ThreadPoolExecutor
) -> Iterator[pa.Table]:
    """The rows as they are stored; the digest follows in a thread of its own."""
    starts = list(range(0, len(rows), ROW_GROUP))
    groups = 2
    hashed: Future[Any] = hasher.submit(int)
    while starts:
        batches = []
        for start in starts[:groups]:
            part = rows.part(start, min(start + ROW_GROUP, len(rows)))
            batches.append(_batch(start, number, part))
            hashed.result()
            hashed = hasher.submit(digest.update, part)
        yield pa.Table.from_batches(batches)
        starts, groups = starts[groups:], min(2 * groups, GROUPS_AT_ONCE)
    hashed.result()


def _batch(start: int, number: int, part: Part) -> pa.RecordBatch:
    items, repeats, strata = part
    offsets = np.arange(0, (len(items) + 1) * items.itemsize, items.itemsize, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(items)]
    held = {
        "manifest": pa.array(np.full(len(items), number, np.int32)),
        "position": pa.array(np.arange(start, start + len(items))),
        "item_id": pa.Array.from_buffers(pa.string(), len(items), buffers),
        "stratum": pa.array(strata),
        "repeat": pa.array(repeats),
    }
    return pa.RecordBatch.from_pydict(held)


def _config(plan: Plan) -> str:
    """The options as JSON."""
    return json.dumps(plan.options.model_dump(mode="json"), ensure_ascii=False)


def _allocations(plan: Plan, strata: Sequence[NodePlan]) -> dict[str, Any]:
    """The columns of `allocations`, a row per node of the tree."""
    columns = ("available", "floor", "cap", "allocated", "source", "share", "why")
    numbers = {(node.category, node.source): number for number, node in enumerate(strata)}
    return {
        "node": [node.category for node in plan.nodes],
        **{name: [getattr(node, name) for node in plan.nodes] for name in columns},
        "stratum": [numbers.get((node.category, node.source)) for node in plan.nodes],
    }


def _insert(connection: duckdb.DuckDBPyConnection, table: str, name: str, columns: Mapping[str, Any]) -> None:
    """Insert rows of the manifest `name` into a table of the catalog."""
    connection.register("draw_input", pa.table(dict(columns)))
    insert = f"INSERT INTO {quoted(table)} BY NAME SELECT $corpus AS corpus, * FROM draw_input"
    connection.execute(insert, {"corpus": name})
    connection.unregister("draw_input")
