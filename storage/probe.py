"""Checks whether a bucket can hold a copy: it answers, and honors conditional writes of several instances."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from .bucket import Bucket, ConditionFailed

RACERS = 6
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Probe:
    """Results of races: rounds in which not exactly one write succeeded; and whether versions are kept."""

    failed_creates: int
    failed_swaps: int
    versioned: bool

    @property
    def good(self) -> bool:
        """Whether every race had one result."""
        return not (self.failed_creates or self.failed_swaps)


def probe(bucket: Bucket) -> Probe:
    """Race conditional writes on objects of its own, which are deleted at the end. Raises BucketError."""
    names = [f"probe/{secrets.token_hex(8)}" for _ in range(ROUNDS)]
    creates = swaps = 0
    try:
        for name in names:
            creates += _race(lambda data, name=name: bucket.create(name, data)) != 1  # type: ignore[misc]
            found = bucket.read(name)
            etag = "" if found is None else found.etag
            swaps += _race(lambda data, name=name, etag=etag: bucket.swap(name, data, etag)) != 1  # type: ignore[misc]
    finally:
        bucket.delete(names)
    return Probe(creates, swaps, bucket.versioned())


def _race(write: Callable[[bytes], object]) -> int:
    """Return how many of several concurrent writes succeed."""
    start = threading.Barrier(RACERS)
    results: list[bool] = []
    errors: list[Exception] = []

    def attempt() -> None:
        start.wait()
        try:
            write(secrets.token_bytes(8))
        except ConditionFailed:
            return
        except Exception as error:
            errors.append(error)
            return
        results.append(True)

    threads = [threading.Thread(target=attempt, daemon=True) for _ in range(RACERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return len(results)
