"""The one door into this room: from the bytes of an item to what a corpus can hold of them."""

from __future__ import annotations

from ..catalog.models import Failure, Item, Rejected
from ..catalog.status import Reason
from ..core.sniff import media_type
from .image import NormalizedImage, normalize
from .media_options import MediaOptions
from .pdf.document import Document, expand

SNIFFED = 4096
"""Bytes from which the media type is recognized."""


def convert(data: bytes, item: Item, options: MediaOptions) -> NormalizedImage | Document | Failure:
    """Bring the bytes of an item into the form that a corpus holds.

    An image gives a NormalizedImage; a PDF, recognized by its bytes, gives a Document, whose pages are items
    that wait to be read; everything else gives a Failure with its reason. `item` is not changed.
    """
    try:
        if media_type(data[:SNIFFED]) == "application/pdf":
            return expand(data, item, options.pdf)
        return normalize(data, options.image)
    except Rejected as rejection:
        return Failure(rejection.reason, rejection.detail)
    except MemoryError:
        return Failure(Reason.OUT_OF_MEMORY, "decoding it needs more than `ingest.memory_limit`")
