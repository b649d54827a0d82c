"""Puts into relations what looks alike: near duplicates, and candidates like excluded pictures."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from ..catalog.queries import query
from .exclusion import Fingerprinter, check_exclusions
from .near import clusters, masks
from .relations import Relations
from .sample_options import SampleOptions

log = logging.getLogger("derlem.sample")

_FETCHED = 100_000
"""Pairs that are held at a time."""


def fill_exclusions(made: Relations, options: SampleOptions, fingerprints: Fingerprinter) -> None:
    """Put the hashes of excluded pictures, and those of candidates that look like one, into relations."""
    check_exclusions(options.exclude)
    sha256: set[str] = set()
    alike: set[tuple[int, int, int]] = set()
    for exclusion in options.exclude:
        count = 0
        for found in fingerprints(exclusion):
            count += 1
            if found.sha256 is not None:
                sha256.add(found.sha256)
            if found.dhash is not None and exclusion.distance is not None:
                bits = int(found.dhash, 16)
                alike.add((bits >> 32, bits & 0xFFFF_FFFF, exclusion.distance))
        log.info("exclude %s: %d pictures", exclusion.label, count)
    if sha256:
        made.fill("sample_excluded", {"sha256": sorted(sha256)})
    if not alike:
        return
    high, low, distance = zip(*sorted(alike), strict=True)
    made.fill("sample_excluded_hashes", {"high": high, "low": low, "distance": distance})
    made.table("sample_hashes", query("sampling/hashes"))
    hashes = made.count("sample_hashes") + len(alike)
    for bits in sorted(set(distance)):
        for mask_high, mask_low in masks(bits, hashes):
            values = {"high": mask_high, "low": mask_low, "distance": bits}
            made.add("sample_excluded_alike", query("sampling/excluded_alike"), values)


def fill_clusters(made: Relations, distance: int) -> None:
    """Put every hash that is within `distance` bits of another one into its cluster."""
    made.table("sample_hashes", query("sampling/hashes"))
    joined = clusters(_pairs(made, distance))
    if joined:
        made.fill("sample_clusters", {"dhash": list(joined), "cluster": list(joined.values())})


def _pairs(made: Relations, distance: int) -> Iterator[tuple[str, str]]:
    for high, low in masks(distance, made.count("sample_hashes")):
        values = {"high": high, "low": low, "distance": distance}
        result = made.connection.execute(query("sampling/near_pairs"), values)
        while rows := result.fetchmany(_FETCHED):
            yield from rows
