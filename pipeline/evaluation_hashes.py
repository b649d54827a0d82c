"""Hashes images outside the catalog, such as an evaluation set, through the adapter of a source."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pydantic import ValidationError

from ..adapters.base import Adapter, Context, SourceOptions
from ..adapters.registry import adapter_class
from ..catalog.models import Failure, Rejected
from ..core.errors import ConfigError, DerlemError, first_problem
from ..media.image import normalize
from ..media.image_options import ImageOptions

log = logging.getLogger("derlem.adapters")


class UnreadImages(DerlemError):
    """Images whose hashes a draw requires could not be read."""


@dataclass(frozen=True, slots=True)
class ImageHashes:
    """sha256 of the bytes in the source and in a corpus (normalized), and the difference hash; all in hex."""

    original_sha256: str
    sha256: str
    dhash: str


def evaluation_source(declaration: Mapping[str, Any], label: str) -> SourceOptions:
    """The options of a source that is hashed and never registered; ConfigError for a wrong declaration."""
    try:
        return adapter_class(declaration["adapter"]).Options.model_validate(declaration)
    except ValidationError as error:
        raise ConfigError(f"{label}: {first_problem(error)}", key="sample.exclude") from error


def hashed_form(image: ImageOptions) -> ImageOptions:
    """The image options for hashing: those of the corpus, without its limits."""
    return image.without_limits()


def image_hashes(source: SourceOptions, context: Context, image: ImageOptions) -> Iterator[ImageHashes]:
    """The hashes of every image that the source lists, in no particular order.

    Broken images and files of other types are skipped and counted in the log. Errors of the listing
    propagate. Raises UnreadImages if an item cannot be read or the source has no image, because a sample
    that excludes an evaluation set must not be drawn without the set's hashes.
    """
    adapter: Adapter[Any] = adapter_class(source.adapter)(context)
    options = hashed_form(image)
    items = (item for item in chain.from_iterable(adapter.discover(source)) if item.reason is None)
    read = skipped = 0
    for item_id, result in adapter.read(source, items):
        if isinstance(result, Failure):
            why = f"{result.reason}: {result.detail}"
            raise UnreadImages(f"{source.name}: {item_id} cannot be read ({why})")
        try:
            normalized = normalize(result.data, options)
        except Rejected as rejection:
            skipped += 1
            log.debug("%s: %s has no hashes: %s", source.name, item_id, rejection)
            continue
        read += 1
        yield ImageHashes(normalized.original_sha256, normalized.sha256, normalized.dhash)
    if skipped:
        log.warning("%s: %d files are not readable images", source.name, skipped)
    if not read:
        raise UnreadImages(f"{source.name}: the source has no image")
