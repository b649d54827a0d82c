"""The one door into this room: from the payload of an item to what a corpus can hold of it."""

from __future__ import annotations

from collections.abc import Sequence

from ..catalog.models import Failure, Item, Payload, Rejected
from ..catalog.status import Reason
from ..core.sniff import media_type
from .image import NormalizedImage, normalize
from .media_options import MediaOptions
from .pdf.document import Document, expand

SNIFFED = 4096
"""Bytes from which the media type is recognized."""


def convert(
    payload: Payload, item: Item, options: MediaOptions
) -> Sequence[NormalizedImage] | Document | Failure:
    """Bring the payload of an item into the form that a corpus holds.

    Images give a NormalizedImage each; a PDF, recognized by its bytes, gives a Document, whose pages are
    items that wait to be read; everything else gives a Failure with its reason. A record of several images
    fails with the first of them that fails, which the detail names. `item` is not changed.
    """
    first = _convert(payload.data, item, options)
    if not payload.more:
        return [first] if isinstance(first, NormalizedImage) else first
    images: list[NormalizedImage] = []
    for number, data in enumerate((payload.data, *payload.more), start=1):
        image = first if number == 1 else _convert(data, item, options)
        if isinstance(image, Document):
            image = Failure(Reason.NOT_IMAGE, "a PDF")
        if isinstance(image, Failure):
            return Failure(image.reason, f"image {number} of {1 + len(payload.more)}: {image.detail}")
        images.append(image)
    return images


def _convert(data: bytes, item: Item, options: MediaOptions) -> NormalizedImage | Document | Failure:
    try:
        if media_type(data[:SNIFFED]) == "application/pdf":
            return expand(data, item, options.pdf)
        return normalize(data, options.image)
    except Rejected as rejection:
        return Failure(rejection.reason, rejection.detail)
    except MemoryError:
        return Failure(Reason.OUT_OF_MEMORY, "decoding it needs more than `ingest.memory_limit`")
