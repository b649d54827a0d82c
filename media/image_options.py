"""The `image` section of the configuration. Imports no decoder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..core.options import StrictModel


class ImageOptions(StrictModel):
    """The `image` section: the form in which images are stored, and limits that reject images."""

    format: Literal["jpeg", "png", "webp"] = Field(
        default="jpeg",
        description="format of stored images; with jpeg, conforming JPEGs keep their bytes",
    )
    quality: int = Field(default=95, ge=1, le=100, description="of JPEG (always 4:4:4) and WebP")
    max_pixels: int = Field(default=178_000_000, gt=0, description="width x height, read from the header")
    min_side: int | None = Field(default=None, gt=0, description="pixels of the shorter side")
    max_side: int | None = Field(default=None, gt=0, description="pixels of the longer side")
    max_aspect: float | None = Field(default=None, ge=1, description="longer side by shorter side")
    max_bytes: int | None = Field(
        default=None, gt=0, description="bytes of the image as stored; larger ones are rejected"
    )
