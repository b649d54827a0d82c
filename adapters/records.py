"""Joins the images of a record to one result."""

from __future__ import annotations

from collections.abc import Iterable

from ..catalog.models import Failure, Payload


def numbered(number: int, images: int, detail: str) -> str:
    """Return the detail of a failure, with the number (from 1) of the image if the record has several."""
    return detail if images == 1 else f"image {number} of {images}: {detail}"


def joined(results: Iterable[Payload | Failure], images: int) -> Payload | Failure:
    """Return one payload of a record's `images` results, in order, or the first failure among them."""
    found: list[Payload] = []
    for number, result in enumerate(results, start=1):
        if isinstance(result, Failure):
            return Failure(result.reason, numbered(number, images, result.detail), result.meta)
        found.append(result)
    first = found[0]
    return Payload(
        first.data, first.updates, first.meta, first.revision, tuple(payload.data for payload in found[1:])
    )
