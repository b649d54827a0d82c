"""The hashes of pictures outside the catalog, such as an evaluation set: read as a source's items are."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ..adapters.base import Adapter, Context, SourceOptions
from ..adapters.registry import adapter_class
from ..catalog.models import Failure, Rejected
from ..core.errors import DerlemError
from ..media.image import normalize
from ..media.image_options import ImageOptions

log = logging.getLogger("derlem.adapters")


class UnreadPictures(DerlemError):
    """Pictures whose hashes were asked for could not be read."""


@dataclass(frozen=True, slots=True)
class PictureHashes:
    """sha256 of the bytes as they lie there and as a corpus would hold them, and the difference hash."""

    original_sha256: str
    sha256: str
    dhash: str


def hashed_form(image: ImageOptions) -> ImageOptions:
    """The form in which pictures are hashed: the corpus's, whose limits are not theirs."""
    return ImageOptions(format=image.format, quality=image.quality)


def picture_hashes(source: SourceOptions, context: Context, image: ImageOptions) -> Iterator[PictureHashes]:
    """The hashes of every picture that the source lists, in no particular order.

    What is no picture, or a broken one, is passed over and counted in the log. Raises what listing the
    source does, and UnreadPictures when one cannot be read at all, or when there is none: whoever asks
    for the hashes relies on having them.
    """
    adapter: Adapter[Any] = adapter_class(source.adapter)(context)
    options = hashed_form(image)
    items = (item for item in chain.from_iterable(adapter.discover(source)) if item.reason is None)
    read = passed_over = 0
    for item_id, result in adapter.read(source, items):
        if isinstance(result, Failure):
            why = f"{result.reason}: {result.detail}"
            raise UnreadPictures(f"{source.name}: {item_id} cannot be read ({why})")
        try:
            picture = normalize(result.data, options)
        except Rejected as rejection:
            passed_over += 1
            log.debug("%s: %s has no hashes: %s", source.name, item_id, rejection)
            continue
        read += 1
        yield PictureHashes(picture.original_sha256, picture.sha256, picture.dhash)
    if passed_over:
        log.warning("%s: %d files are no pictures that can be read", source.name, passed_over)
    if not read:
        raise UnreadPictures(f"{source.name}: no picture there")
