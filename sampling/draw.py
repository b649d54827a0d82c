"""Draws a sample and stores it: allocation, manifest and fingerprint in one transaction."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ..catalog.models import now
from ..catalog.queries import query
from ..catalog.samples import sample_number
from ..catalog.store import transaction
from .batches import ahead
from .brackets import ABOVE, BELOW, brackets
from .candidates import Census, find_candidates
from .exclusion import Fingerprinter, read_hashes
from .noted import note
from .options import SampleOptions
from .order import Ids, OrderedRows
from .plan import NodePlan, Plan, make_plan
from .relations import Relations, relations

log = logging.getLogger("derlem.sample")

_AT_ONCE = 10_000_000
"""Seats whose contenders are held outside the database, 70 bytes each; those of more may be spilled."""
_ROW_GROUP = 122_880
"""Rows that DuckDB stores together, and compresses in one thread."""
_STORED = 16
"""Row groups that are stored at a time."""


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
    note(connection)
    with relations(connection) as made:
        census = find_candidates(made, options, extend, fingerprints)
        plan = make_plan(census, options, extend)
        # those that are given seats; their places in this list are their numbers
        strata = [node for node in plan.nodes if node.source and node.allocated]
        _contend(made, strata, census, options)
        return _store(made, plan, strata, run)


def _contend(made: Relations, strata: Sequence[NodePlan], census: Census, options: SampleOptions) -> None:
    """Put the seats' contenders into `sample_contenders`, and what they contend for beside them."""
    quotas = _quotas(strata, census)
    made.fill("sample_quotas", quotas)
    made.view("sample_open", "SELECT * FROM sample_candidates")
    if census.kept_items:
        made.table("sample_kept", query("sampling/kept"))
        made.view("sample_open", query("sampling/open"))
    contenders = query("sampling/contenders")
    if sum(node.allocated for node in strata) <= _AT_ONCE:
        made.show("sample_contenders", made.fetch(contenders, options.seed))
    else:
        made.table("sample_contenders", contenders, {"seed": options.seed})
    made.table("sample_open_seats", query("sampling/open_seats"))
    missed = made.connection.execute(
        "SELECT stratum FROM sample_open_seats WHERE open < 0 OR contenders < open"
    ).fetchall()
    if missed:
        log.debug("%d brackets missed their stratum's last key; they are opened", len(missed))
        for (stratum,) in missed:
            quotas["low"][stratum], quotas["high"][stratum] = BELOW, ABOVE
        made.fill("sample_quotas", quotas)
        made.forget("sample_contenders")
        made.table("sample_contenders", contenders, {"seed": options.seed})  # whole strata: many, perhaps
        made.table("sample_open_seats", query("sampling/open_seats"))


def _quotas(strata: Sequence[NodePlan], census: Census) -> dict[str, Any]:
    """The columns of `sample_quotas`: seats beyond the kept ones, rounds, and the bracket of the last key."""
    available = np.array([node.available for node in strata], dtype=np.int64)
    allocated = np.array([node.allocated for node in strata], dtype=np.int64)
    kept = np.array([node.kept for node in strata], dtype=np.int64)
    kept_items = np.array(
        [census.kept_items.get((node.category, node.source), 0) for node in strata], dtype=np.int64
    )
    seats, once = allocated - kept, available - kept_items
    # once every item is in, the next round begins: as many as can be needed, whatever was kept
    copies = np.where(seats > once, allocated // np.maximum(available, 1) + 1, 1)
    low, high = brackets(seats, once)
    for stratum in np.flatnonzero(copies > 1):
        low[stratum], high[stratum] = BELOW, ABOVE
    return {
        "stratum": np.arange(len(strata), dtype=np.int32),
        "category": [node.category for node in strata],
        "source": [node.source for node in strata],
        "seats": seats,
        "copies": copies.astype(np.int32),
        "low": low,
        "high": high,
    }


def _store(made: Relations, plan: Plan, strata: Sequence[NodePlan], run: str) -> SampleResult:
    """Put the drawn rows in order and write the sample."""
    connection, options = made.connection, plan.options
    seats = sum(node.allocated for node in strata)
    rows = OrderedRows(_drawn(made, options.seed), seats, options.seed)
    # a digest for each column: rows may be stored in batches of any size
    digests = [hashlib.sha256() for _ in range(3)]
    with ahead(_tables(rows, digests)) as tables:
        made.make_room("sample_contenders")
        with transaction(connection):
            before = connection.execute("SELECT fingerprint FROM samples WHERE sample = ?", [options.name])
            earlier = before.fetchall()
            for table in ("samples", "allocations", "exclusions"):
                connection.execute(f"DELETE FROM {table} WHERE sample = ?", [options.name])
            number = sample_number(connection, options.name)
            connection.execute("DELETE FROM numbered_seats WHERE number = ?", [number])
            _store_rows(connection, tables, number)
            fingerprint = _fingerprint(options, strata, digests)
            connection.execute(
                query("sampling/store_sample"),
                {
                    "sample": options.name,
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


def _drawn(made: Relations, seed: int) -> Iterator[pa.RecordBatch]:
    """All contenders or the sure ones of them, who alone count, and those who won an open seat.

    The latter come last: while the database ranks them, the others are taken apart.
    """
    if (contenders := made.shown.get("sample_contenders")) is not None:
        yield from contenders.to_batches()
    else:
        yield from made.stream(query("sampling/sure"))
    yield from made.fetch(query("sampling/draw"), seed).to_batches(max_chunksize=_ROW_GROUP)


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
    for first in range(0, len(rows), _STORED * _ROW_GROUP):
        batches = []
        for start in range(first, min(first + _STORED * _ROW_GROUP, len(rows)), _ROW_GROUP):
            columns = rows.part(start, min(start + _ROW_GROUP, len(rows)))
            for digest, column in zip(digests, columns, strict=True):
                digest.update(column.tobytes())
            items, repeats, strata = columns
            held = {
                "position": pa.array(np.arange(start, start + len(items))),
                "item_id": _strings(items),
                "stratum": pa.array(strata),
                "repeat": pa.array(repeats),
            }
            batches.append(pa.RecordBatch.from_pydict(held))
        yield pa.Table.from_batches(batches)


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
    writer.execute(query("sampling/store_allocations"), {"sample": plan.options.name})
    writer.unregister("sample_nodes")


def _store_exclusions(writer: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    table = {
        "reason": pa.array(list(plan.excluded), pa.string()),
        "items": pa.array(list(plan.excluded.values()), pa.int64()),
    }
    writer.register("sample_exclusions", pa.table(table))
    writer.execute(query("sampling/store_exclusions"), {"sample": plan.options.name})
    writer.unregister("sample_exclusions")
