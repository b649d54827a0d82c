"""How pages become images: the configuration's `pdf` section, and the choice of a renderer."""

from __future__ import annotations

import shutil
from typing import Literal

from pydantic import Field

from ...core.errors import ConfigError
from ...core.options import StrictModel


class PdfOptions(StrictModel):
    """The `pdf` section."""

    dpi: int = Field(default=300, ge=36, le=2400, description="pixels per inch of a rendered page")
    renderer: Literal["auto", "pdf2image", "pdfium"] = Field(
        default="auto", description="auto: pdf2image where poppler is installed, else pdfium"
    )
    extract: Literal["auto", "native", "never"] = Field(
        default="auto",
        description="a page that is one upright full-page JPEG gives that JPEG, untouched, if it has `dpi` "
        "+-5 % (auto), at any resolution (native), or is rendered all the same (never)",
    )
    quality: int = Field(default=95, ge=1, le=100, description="of the JPEGs that pages are rendered to")
    max_page_pixels: int = Field(
        default=150_000_000,
        gt=0,
        description="at `dpi`; bounds memory: a renderer needs about 8 bytes per pixel",
    )
    page_deadline: float = Field(default=60.0, gt=0, description="seconds that one page may take")


def resolve_renderer(options: PdfOptions) -> str:
    """The renderer of a run, `pdf2image` or `pdfium`; ConfigError if the declared one is not installed."""
    poppler = shutil.which("pdftocairo") is not None and shutil.which("pdfinfo") is not None
    if options.renderer == "pdf2image" and not poppler:
        raise ConfigError(
            "pdf2image needs poppler's pdftocairo and pdfinfo, which are not installed "
            "(apt-get install poppler-utils, brew install poppler); `auto` would use pdfium",
            key="pdf.renderer",
        )
    if options.renderer == "auto":
        return "pdf2image" if poppler else "pdfium"
    return options.renderer
