"""Draws: ranks the contenders whose seats are contested, and gives the rows of all who have a seat.

The ranking is a window query (`sql/sampling/draw.sql`), which sorts by rank key, 32 hexadecimal digits. It
is given the two halves of each key as 64-bit integers, which are in the same order and are sorted in a third
of the time, and the number of a row instead of its item, which could only matter if two items had the same
md5. Where too many seats are contested to hold that outside the database, it is given the keys as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import numpy as np
import pyarrow as pa

from ..catalog.queries import query
from .batches import HANDY
from .integers import Digits, Numbers, digits, hexadecimal
from .relations import Relations

_AT_ONCE = 20_000_000
"""Contested rows that are ranked outside the database, 120 bytes each; those of more may be spilled."""

_CONTESTED = pa.schema(
    {
        "row": pa.int64(),
        "repeat": pa.int32(),
        "stratum": pa.int32(),
        "high": pa.uint64(),
        "low": pa.uint64(),
    }
)


def drawn_rows(made: Relations, seed: int) -> Iterator[pa.RecordBatch]:
    """item_id, repeat, stratum and order_prefix of all who have a seat, and of others where `drawn` is false.

    The order prefix is the first eight digits of md5(seed || ':order:' || item_id).
    """
    contenders = made.shown.get("sample_contenders")
    if contenders is None:
        yield from made.stream(query("sampling/sure"))
        [(contested,)] = made.connection.execute("SELECT count(key) FROM sample_contenders").fetchall()
        if contested <= _AT_ONCE:
            contenders = made.fetch("SELECT * FROM sample_contenders WHERE key IS NOT NULL")
    if contenders is not None:
        yield from _ranked(made, contenders)
    else:
        made.view("sample_contested", query("sampling/contested"))
        made.table("sample_winners", query("sampling/draw"))
        yield from made.stream(query("sampling/winners"))
    yield from made.fetch(query("sampling/kept_rows"), seed).to_batches()


def _ranked(made: Relations, contenders: pa.Table) -> list[pa.RecordBatch]:
    """Contenders outside the database, with `drawn`: those without a key and the winners."""
    made.show("sample_contested", _contested(contenders))
    winners = made.fetch(query("sampling/draw")).column("row").to_numpy()
    made.forget("sample_contested")
    drawn = contenders.column("key").is_null().to_numpy()
    drawn[winners] = True
    batches: list[pa.RecordBatch] = contenders.append_column("drawn", pa.array(drawn)).to_batches(HANDY)
    return batches


def _contested(contenders: pa.Table) -> pa.Table:
    """The contenders with a key, as integers; `row` is their number among all."""
    batches = contenders.to_batches(HANDY)
    with ThreadPoolExecutor(2) as threads:
        found = threads.map(_as_integers, accumulate(map(len, batches), initial=0), batches)
        return pa.Table.from_batches(found, _CONTESTED)


def _as_integers(first: int, batch: pa.RecordBatch) -> pa.RecordBatch:
    rows = np.flatnonzero(batch.column("key").is_valid().to_numpy(zero_copy_only=False))
    keys = digits(batch.column("key").drop_null(), 32)
    columns = {
        "row": first + rows,
        "repeat": batch.column("repeat").to_numpy()[rows],
        "stratum": batch.column("stratum").to_numpy()[rows],
        "high": _number(keys[:, :16]),
        "low": _number(keys[:, 16:]),
    }
    return pa.RecordBatch.from_pydict(columns, _CONTESTED)


def _number(written: Digits) -> Numbers:
    """What rows of sixteen digits write."""
    return (hexadecimal(written[:, :8]) << np.uint64(32)) | hexadecimal(written[:, 8:])
