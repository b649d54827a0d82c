"""Finds who contends for the seats of a sample: of each stratum the items that may be among the first."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..catalog.queries import query
from .brackets import ABOVE, BELOW, brackets
from .candidates import Census
from .plan import NodePlan
from .relations import Relations
from .sample_options import SampleOptions

log = logging.getLogger("derlem.sample")

_AT_ONCE = 10_000_000
"""Seats whose contenders are held outside the database, 80 bytes each; those of more may be spilled."""


def contend(made: Relations, strata: Sequence[NodePlan], census: Census, options: SampleOptions) -> None:
    """Put the seats' contenders into `sample_contenders`, and what they contend for beside them."""
    seed, quotas = options.seed, _quotas(strata, census)
    made.fill("sample_rounds", {"repeat": np.arange(options.max_repeats, dtype=np.int32)})
    made.fill("sample_quotas", quotas)
    made.view("sample_open", "SELECT * FROM sample_candidates")
    if census.kept_items:
        made.table("sample_kept", query("sampling/kept"))
        made.view("sample_open", query("sampling/open"))
    contenders = query("sampling/contenders")
    if sum(node.allocated for node in strata) <= _AT_ONCE:
        made.show("sample_contenders", made.fetch(contenders, seed))
    else:
        made.table("sample_contenders", contenders, {"seed": seed})
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
        made.table("sample_contenders", contenders, {"seed": seed})  # whole strata: many, perhaps
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
