"""Draws a sample and stores it: allocation, manifest and fingerprint in one transaction."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from ..catalog.connection import transaction
from ..catalog.manifests import manifest_number
from ..catalog.models import now
from ..catalog.queries import query
from .batches import ahead
from .candidates import find_candidates
from .contenders import contend
from .dedup_index import refresh
from .exclusion import Fingerprinter, read_hashes
from .order import Ids, Integers, OrderedRows
from .plan import NodePlan, Plan, make_plan
from .relations import Relations, relations
from .sample_options import SampleOptions
from .winners import drawn_rows

log = logging.getLogger("derlem.sample")

_ROW_GROUP = 122_880
"""Rows that DuckDB stores together, and compresses in one thread."""
_STORED = 16
"""Row groups that are stored at a time; the first are fewer, so that storing begins soon."""


@dataclass(frozen=True, slots=True)
class SampleResult:
    """A stored sample; `changed` is False where the same sample was there already."""

    plan: Plan
    selected: int
    fingerprint: str
    changed: bool


def draw_sample(
    connection: duckdb.DuckDBPyConnection,
    options: SampleOptions,
    run: str,
    *,
    extend: str | None = None,
    fingerprints: Fingerprinter = read_hashes,
) -> SampleResult:
    """Draw the sample and store it under its name, in place of an earlier one of that name.

    The same catalog, seed and options give the same sample and fingerprint. With `extend` every selection
    of that stored sample which is still a candidate stays. Raises what `plan_sample` does, before
    anything is written; a failure while writing leaves the earlier sample.
    """
    refresh(connection)
    with relations(connection) as made:
        census = find_candidates(made, options, extend, fingerprints)
        plan = make_plan(census, options, extend)
        # those that are given seats; their places in this list are their numbers
        strata = [node for node in plan.nodes if node.source and node.allocated]
        contend(made, strata, census, options)
        return _store(made, plan, strata, run)


def _store(made: Relations, plan: Plan, strata: Sequence[NodePlan], run: str) -> SampleResult:
    """Put the drawn rows in order and write the sample."""
    connection, options = made.connection, plan.options
    seats = sum(node.allocated for node in strata)
    rows = OrderedRows(drawn_rows(made, options.seed), seats, options.seed)
    # a digest for each column: rows may be stored in batches of any size
    digests = [hashlib.sha256() for _ in range(3)]
    with ahead(_tables(rows, digests)) as tables:
        made.make_room("sample_contenders")
        with transaction(connection):
            before = connection.execute("SELECT fingerprint FROM manifests WHERE corpus = ?", [options.name])
            earlier = before.fetchall()
            number = manifest_number(connection, options.name)
            connection.execute("DELETE FROM manifest_rows WHERE manifest = ?", [number])
            for table in ("manifests", "allocations", "exclusions"):
                connection.execute(f"DELETE FROM {table} WHERE corpus = ?", [options.name])
            _store_rows(connection, tables, number)
            fingerprint = _fingerprint(options, strata, digests)
            connection.execute(
                query("sampling/store_manifest"),
                {
                    "corpus": options.name,
                    "number": number,
                    "seed": options.seed,
                    "target": options.target,
                    "selected": len(rows),
                    "config": _config(plan),
                    "fingerprint": fingerprint,
                    "run": run,
                    "drawn_at": now(),
                },
            )
            _store_allocations(connection, plan, strata)
            _store_exclusions(connection, plan)
    changed = [(fingerprint,)] != earlier
    log.info("sample %s: %d of %d, fingerprint %s", options.name, len(rows), options.target, fingerprint[:12])
    return SampleResult(plan, len(rows), fingerprint, changed)


def _store_rows(connection: duckdb.DuckDBPyConnection, tables: Iterator[pa.Table], number: int) -> None:
    """Store the rows of the sample with this number, in their order."""
    connection.execute("SET preserve_insertion_order = true")  # so that positions lie in order
    for table in tables:
        connection.register("sample_batch", table)
        connection.execute(query("sampling/store_rows"), {"number": number})
        connection.unregister("sample_batch")


def _fingerprint(options: SampleOptions, strata: Sequence[NodePlan], digests: Sequence[hashlib._Hash]) -> str:
    """What tells this selection from any other: a hash of seed, options, strata and the rows' digests."""
    places = [[node.category, node.source] for node in strata]
    whole = hashlib.sha256(json.dumps([options.seed, options.canonical(), places]).encode())
    for digest in digests:
        whole.update(digest.digest())
    return whole.hexdigest()


def _tables(rows: OrderedRows, digests: Sequence[hashlib._Hash]) -> Iterator[pa.Table]:
    """The rows as they are stored, some row groups at a time; the digests are fed with them."""
    starts = list(range(0, len(rows), _ROW_GROUP))
    groups = 2
    with ThreadPoolExecutor(max_workers=1) as hasher:
        hashing: list[Future[None]] = []
        while starts:
            batches = []
            for start in starts[:groups]:
                columns = rows.part(start, min(start + _ROW_GROUP, len(rows)))
                batches.append(_batch(start, *columns))
                _wait(hashing)
                hashing = [
                    hasher.submit(digest.update, column.view(np.uint8).data)
                    for digest, column in zip(digests, columns, strict=True)
                ]
            yield pa.Table.from_batches(batches)
            starts, groups = starts[groups:], min(2 * groups, _STORED)
        _wait(hashing)


def _wait(futures: Sequence[Future[None]]) -> None:
    for future in futures:
        future.result()


def _batch(start: int, items: Ids, repeats: Integers, strata: Integers) -> pa.RecordBatch:
    held = {
        "position": pa.array(np.arange(start, start + len(items))),
        "item_id": _strings(items),
        "stratum": pa.array(strata),
        "repeat": pa.array(repeats),
    }
    return pa.RecordBatch.from_pydict(held)


def _strings(items: Ids) -> pa.Array:
    offsets = np.arange(0, (len(items) + 1) * items.itemsize, items.itemsize, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(items), [None, pa.py_buffer(offsets), pa.py_buffer(items)])


def _config(plan: Plan) -> str:
    """The options as JSON, and which sample they extended."""
    config = plan.options.model_dump(mode="json")
    return json.dumps({**config, "extends": plan.extends} if plan.extends else config, ensure_ascii=False)


def _store_allocations(writer: duckdb.DuckDBPyConnection, plan: Plan, strata: Sequence[NodePlan]) -> None:
    columns = ("available", "floor", "cap", "allocated")
    table = {name: pa.array([getattr(node, name) for node in plan.nodes], pa.int64()) for name in columns}
    for name in ("category", "source", "share", "why"):
        table[name] = pa.array([getattr(node, name) for node in plan.nodes], pa.string())
    numbers = {(node.category, node.source): number for number, node in enumerate(strata)}
    found = [numbers.get((node.category, node.source)) for node in plan.nodes]
    table["stratum"] = pa.array(found, pa.int32())
    writer.register("sample_nodes", pa.table(table))
    writer.execute(query("sampling/store_allocations"), {"corpus": plan.options.name})
    writer.unregister("sample_nodes")


def _store_exclusions(writer: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    table = {
        "reason": pa.array(list(plan.excluded), pa.string()),
        "items": pa.array(list(plan.excluded.values()), pa.int64()),
    }
    writer.register("sample_exclusions", pa.table(table))
    writer.execute(query("sampling/store_exclusions"), {"corpus": plan.options.name})
    writer.unregister("sample_exclusions")
