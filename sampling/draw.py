"""Draws a sample and stores it: allocation, manifest and fingerprint in one transaction."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ..catalog.models import now
from ..catalog.queries import query
from ..catalog.store import transaction
from .candidates import Census, find_candidates
from .exclusion import Fingerprinter, read_hashes
from .options import SampleOptions
from .plan import NodePlan, Plan, make_plan
from .relations import Relations, relations

log = logging.getLogger("derlem.sample")

_BRACKET = 5.5
"""Half-width of a stratum's bracket in standard deviations; missing it only costs a second pass."""
_BATCH = 1_000_000
"""Rows that are held between the ordered result and the manifest."""


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
    with relations(connection) as made:
        census = find_candidates(made, options, extend, fingerprints)
        plan = make_plan(census, options, extend)
        strata = [node for node in plan.nodes if node.source and node.allocated]
        _contend(made, strata, census, options)
        return _store(connection, plan, strata, run)


def _contend(made: Relations, strata: Sequence[NodePlan], census: Census, options: SampleOptions) -> None:
    """Put the seats' contenders into `sample_contenders`, and what they contend for beside them."""
    values = {"seed": options.seed}
    quotas = _quotas(strata, census)
    made.fill("sample_quotas", quotas)
    made.view("sample_open", "SELECT * FROM sample_candidates")
    if census.kept_items:
        made.table("sample_kept", query("sampling/kept"))
        made.view("sample_open", query("sampling/open"))
    made.table("sample_contenders", query("sampling/contenders"), values)
    made.table("sample_open_seats", query("sampling/open_seats"))
    missed = made.connection.execute(
        "SELECT stratum FROM sample_open_seats WHERE open < 0 OR contenders < open"
    ).fetchall()
    if missed:
        log.debug("%d brackets missed their stratum's last key; they are opened", len(missed))
        for (stratum,) in missed:
            quotas["low"][stratum], quotas["high"][stratum] = "", _ABOVE
        made.fill("sample_quotas", quotas)
        made.table("sample_contenders", query("sampling/contenders"), values)
        made.table("sample_open_seats", query("sampling/open_seats"))


_ABOVE = "g"
"""Over every hexadecimal key."""


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
    part = seats / np.maximum(once, 1)
    # Bernstein's inequality: this many standard deviations, and a term for what is rare
    width = _BRACKET * np.sqrt(part * np.maximum(1 - part, 0) / np.maximum(once, 1))
    width += _BRACKET**2 / np.maximum(once, 1)
    low, high = _keys(part - width), _keys(part + width)
    for stratum in np.flatnonzero((seats == 0) | (seats >= once)):
        edge = "" if not seats[stratum] else _ABOVE
        low[stratum] = high[stratum] = edge
    for stratum in np.flatnonzero(copies > 1):
        low[stratum], high[stratum] = "", _ABOVE
    return {
        "stratum": np.arange(len(strata), dtype=np.int32),
        "category": [node.category for node in strata],
        "source": [node.source for node in strata],
        "seats": seats,
        "copies": copies.astype(np.int32),
        "low": low,
        "high": high,
    }


def _keys(parts: np.ndarray[Any, np.dtype[np.float64]]) -> list[str]:
    """The hexadecimal keys, to twelve digits, below which these parts of all keys lie."""
    scaled = np.clip(parts, 0.0, 1.0) * 2.0**48
    return ["" if key <= 0 else _ABOVE if key >= 2**48 else f"{key:012x}" for key in scaled.astype(np.int64)]


def _store(
    connection: duckdb.DuckDBPyConnection, plan: Plan, strata: Sequence[NodePlan], run: str
) -> SampleResult:
    """Write the drawn sample through a second cursor while the first one streams it in order."""
    options = plan.options
    drawn = _stream(connection, query("sampling/draw"), {"seed": options.seed})
    writer = connection.cursor()
    try:
        with transaction(writer):
            before = writer.execute("SELECT fingerprint FROM samples WHERE sample = ?", [options.name])
            earlier = before.fetchall()
            for table in ("samples", "allocations", "exclusions", "manifest"):
                writer.execute(f"DELETE FROM {table} WHERE sample = ?", [options.name])
            selected, fingerprint = _store_rows(writer, drawn, strata, options)
            writer.execute(
                query("sampling/store_sample"),
                {
                    "sample": options.name,
                    "seed": options.seed,
                    "target": options.target,
                    "selected": selected,
                    "config": _config(plan),
                    "fingerprint": fingerprint,
                    "run": run,
                    "drawn_at": now(),
                },
            )
            _store_allocations(writer, plan)
            _store_exclusions(writer, plan)
    finally:
        writer.close()
    changed = [(fingerprint,)] != earlier
    log.info("sample %s: %d of %d, fingerprint %s", options.name, selected, options.target, fingerprint[:12])
    return SampleResult(plan, selected, fingerprint, changed)


def _stream(
    connection: duckdb.DuckDBPyConnection, select: str, values: dict[str, int]
) -> pa.RecordBatchReader:
    """The rows of a query as they come, in the order it asks for."""
    connection.execute("SET preserve_insertion_order = true")  # else sorted rows may be handed over in any
    if duckdb.__version__.startswith("1."):
        return connection.execute(select, values).to_arrow_reader(_BATCH)
    # DuckDB 1 streams what is executed and stores the rows of a relation; DuckDB 2 does it the other way
    return connection.sql(select, params=values).to_arrow_reader(_BATCH)


def _store_rows(
    writer: duckdb.DuckDBPyConnection,
    drawn: pa.RecordBatchReader,
    strata: Sequence[NodePlan],
    options: SampleOptions,
) -> tuple[int, str]:
    """Number the ordered rows, store them and take their fingerprint; (rows, fingerprint)."""
    categories = pa.array([node.category for node in strata], pa.string())
    sources = pa.array([node.source for node in strata], pa.string())
    places = [[node.category, node.source] for node in strata]
    head = json.dumps([options.seed, options.canonical(), places])
    # a digest for each column: batches may be cut anywhere
    digests = [hashlib.sha256() for _ in range(3)]
    position = 0
    for batch in _ahead(drawn):
        items, repeats, stratum = (batch.column(name) for name in ("item_id", "repeat", "stratum"))
        for digest, column in zip(digests, (items, repeats, stratum), strict=True):
            digest.update(_bytes(column))
        table = pa.table(
            {
                "position": pa.array(np.arange(position, position + batch.num_rows)),
                "item_id": items,
                "category": pa.DictionaryArray.from_arrays(stratum, categories),
                "source": pa.DictionaryArray.from_arrays(stratum, sources),
                "repeat": repeats,
            }
        )
        writer.register("sample_batch", table)
        writer.execute(query("sampling/store_rows"), {"sample": options.name})
        writer.unregister("sample_batch")
        position += batch.num_rows
    whole = hashlib.sha256(head.encode())
    for digest in digests:
        whole.update(digest.digest())
    return position, whole.hexdigest()


def _ahead(batches: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """The batches, each fetched while the one before it is worked on."""
    with ThreadPoolExecutor(max_workers=1) as fetcher:
        coming = fetcher.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = fetcher.submit(next, batches, None)
            yield batch


def _bytes(column: pa.Array) -> memoryview:
    """The values of a column without NULLs, as they lie one after the other."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        wide = pa.types.is_large_string(column.type)
        offsets = np.frombuffer(column.buffers()[1], np.int64 if wide else np.int32)
        first, last = offsets[column.offset], offsets[column.offset + len(column)]
    else:
        width = column.type.bit_width // 8
        first, last = column.offset * width, (column.offset + len(column)) * width
    return memoryview(column.buffers()[-1])[int(first) : int(last)]


def _config(plan: Plan) -> str:
    """The options as JSON, and which sample they extended."""
    config = plan.options.model_dump(mode="json")
    return json.dumps({**config, "extends": plan.extends} if plan.extends else config, ensure_ascii=False)


def _store_allocations(writer: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    columns = ("available", "floor", "cap", "allocated")
    table = {name: pa.array([getattr(node, name) for node in plan.nodes], pa.int64()) for name in columns}
    for name in ("category", "source", "share", "why"):
        table[name] = pa.array([getattr(node, name) for node in plan.nodes], pa.string())
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
