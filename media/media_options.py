"""The options of everything that `media` does: the configuration's `image` and `pdf` sections together."""

from __future__ import annotations

from dataclasses import dataclass, field

from .image_options import ImageOptions
from .pdf.pdf_options import PdfOptions


@dataclass(frozen=True, slots=True)
class MediaOptions:
    """How images and PDF pages are brought into the form that a corpus holds."""

    image: ImageOptions = field(default_factory=ImageOptions)
    pdf: PdfOptions = field(default_factory=PdfOptions)
