"""Clusters of near duplicates: chains of candidates whose difference hashes differ in a few bits."""

from __future__ import annotations

import numpy as np

from ..catalog.queries import query
from ..core.errors import ConfigError
from .dhash_clusters import Hashes, Labels, TooManyComparisons, components, join
from .temp_tables import TempTables


def fill_clusters(temp: TempTables, distance: int) -> None:
    """Make `draw_clusters`: each hash that is within `distance` bits of another one, with its cluster.

    The hashes of one record's images are in one cluster, so that similar images join their records. A cluster
    is named by its smallest hash. Raises ConfigError for a distance that is too large for so many
    hashes.
    """
    temp.table("draw_dhashes", query("sampling/dhashes"))
    hashes = _hashes(temp)
    try:
        labels = components(hashes, distance)
    except TooManyComparisons as error:
        raise ConfigError(str(error), key="sample.near_duplicates") from error
    pairs = temp.fetch(query("sampling/record_pairs"))
    if pairs.num_rows:
        one, other = (_indexes(hashes, pairs.column(name).to_pylist()) for name in ("a", "b"))
        labels = join(labels, one, other)
    clustered = np.flatnonzero(np.bincount(labels, minlength=len(labels))[labels] > 1)
    if len(clustered):
        members, names = _digits(hashes[clustered]), _digits(hashes[labels[clustered]])
        temp.fill("draw_clusters", {"dhash": members, "cluster": names})


def _hashes(temp: TempTables) -> Hashes:
    """The hashes of `draw_dhashes`, ascending."""
    table = temp.fetch("SELECT high, low FROM draw_dhashes")
    high, low = (table.column(name).to_numpy().astype(np.uint64) for name in ("high", "low"))
    return np.sort(high << np.uint64(32) | low)


def _indexes(hashes: Hashes, digits: list[str]) -> Labels:
    """The places of hashes among `hashes`."""
    return np.searchsorted(hashes, np.array([int(text, 16) for text in digits], np.uint64)).astype(np.int64)


def _digits(hashes: Hashes) -> list[str]:
    return [f"{value:016x}" for value in hashes.tolist()]
