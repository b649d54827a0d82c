"""Hashes the options that decide the outcomes of items, so that a changed option re-queues its items.

The first eight hex digits cover the source's options for accompanying texts (the captions of sidecars). The
next digits of a stored image cover the limits of images and the form in which images are stored, eight each;
those of a rejection or failure cover the options behind its reason, if any. An item that was not read has ''.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..adapters.base import Adapter, Context, SourceOptions
from ..catalog.status import Reason, Status
from ..media.media_options import MediaOptions
from .ingest_options import IngestOptions

LIMITS = ("min_side", "max_side", "max_aspect", "max_pixels", "max_bytes")
"""Options of the `image` section that reject images; the other options define the form of stored images."""

Outcome = tuple[str, str, bool]
"""Status, reason ('' for none), and whether the item is a page of a document."""


@dataclass(frozen=True)
class OptionHashes:
    """The hashes of one source's declared options."""

    source: SourceOptions
    adapter: type[Adapter[Any]]
    context: Context
    media: MediaOptions
    ingest: IngestOptions = field(default_factory=IngestOptions)

    def of(self, status: str, reason: str | None, page: bool) -> str:
        """The hash of the options that decide an outcome."""
        return self.by_outcome.get((status, reason or "", page), self.texts)

    @cached_property
    def texts(self) -> str:
        """The hash of the options that decide the texts of a read item."""
        return _hash({name: _plain(getattr(self.source, name)) for name in self.adapter.shaping})

    @cached_property
    def by_outcome(self) -> Mapping[Outcome, str]:
        """The hash of every outcome that depends on options."""
        image, pdf, fetch = self.media.image, self.media.pdf, self.context.fetch
        limits = {name: getattr(image, name) for name in LIMITS}
        found: dict[Outcome, str] = {
            (Status.READY, "", False): self.texts + _hash(limits) + self.form(page=False),
            (Status.READY, "", True): self.texts + _hash(limits) + self.form(page=True),
        }
        own = {name: _plain(getattr(self.source, name)) for name in self.adapter.limiting}
        deciding: dict[Reason, Any] = {
            Reason.TOO_SMALL: image.min_side,
            Reason.TOO_LARGE: (image.max_side, image.format),
            Reason.ASPECT: image.max_aspect,
            Reason.TOO_MANY_PIXELS: image.max_pixels,
            Reason.TOO_MANY_BYTES: (image.max_bytes, self.form(page=False), own),
            Reason.BODY_TOO_LARGE: (fetch.max_bytes, own),
            Reason.OUT_OF_MEMORY: self.ingest.memory_limit,
            Reason.DEADLINE: self.ingest.deadline,
            Reason.PRIVATE_ADDRESS: sorted(map(str, fetch.allow_private)),
            Reason.PAGE_TOO_LARGE: (pdf.dpi, pdf.max_page_pixels, image.max_pixels),
            Reason.PAGE_DAMAGED: (pdf.renderer, pdf.extract),
            Reason.RENDERER_TIMEOUT: (pdf.page_deadline, pdf.dpi, pdf.renderer),
            Reason.RENDERER_CRASH: (pdf.renderer, pdf.dpi),
            **dict.fromkeys(
                (Reason.ROBOTS, Reason.X_ROBOTS_TAG, Reason.TDM_RESERVED, Reason.AIPREF),
                sorted(fetch.respect),
            ),
        }
        for reason, options in deciding.items():
            for page in (False, True):
                found[reason.status, reason, page] = self.texts + _hash(options)
        return found

    def form(self, *, page: bool) -> str:
        """The hash of the form of stored images: of pages, or of all other images."""
        image = self.media.image.model_dump(mode="json")
        if not image.get("resize"):  # limits are of the image before that
            image = {name: value for name, value in image.items() if name not in LIMITS}
        pdf = self.media.pdf.model_dump(mode="json", include={"dpi", "renderer", "extract", "quality"})
        return _hash({"image": image} | ({"pdf": pdf} if page else {}))

    def parameters(self) -> dict[str, Any]:
        """The limits that can be applied to stored images, as parameters of a query."""
        image = self.media.image
        resized = bool(getattr(image, "resize", None))
        return {name: None if resized else getattr(image, name) for name in LIMITS}


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:8]
