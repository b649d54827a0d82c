"""The `image` section of the configuration. Imports no decoder."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from ..core.options import StrictModel


class Resize(StrictModel):
    """The size to which larger images are scaled down, aspect kept: give one of the keys."""

    longer: int | None = Field(default=None, gt=0, description="pixels of the longer side")
    shorter: int | None = Field(default=None, gt=0, description="pixels of the shorter side")
    area: int | None = Field(default=None, gt=0, description="pixels in all, width x height")

    @model_validator(mode="after")
    def _one_key(self) -> Resize:
        if sum(value is not None for value in (self.longer, self.shorter, self.area)) != 1:
            raise ValueError("give one of `longer`, `shorter`, `area`")
        return self

    def scaled(self, width: int, height: int) -> tuple[int, int] | None:
        """The size of an image of `width` x `height` once it is scaled; None if it is no larger."""
        if self.area is not None:
            factor = math.sqrt(self.area / (width * height))
        elif self.longer is not None:
            factor = self.longer / max(width, height)
        else:
            assert self.shorter is not None
            factor = self.shorter / min(width, height)
        if factor >= 1:
            return None
        round_ = math.floor if self.area is not None else round  # an area is never exceeded
        return max(1, round_(width * factor)), max(1, round_(height * factor))


class ImageOptions(StrictModel):
    """The `image` section: the form in which images are stored, and limits that reject images."""

    format: Literal["jpeg", "png", "webp"] = Field(
        default="jpeg",
        description="format of stored images; with jpeg, conforming JPEGs keep their bytes",
    )
    quality: int = Field(default=95, ge=1, le=100, description="of JPEG (always 4:4:4) and WebP")
    color: Literal["srgb", "keep"] = Field(
        default="srgb",
        description="srgb: images with another profile are converted; keep: gray and RGB images keep their "
        "numbers and profile, in every format",
    )
    resize: Resize | None = Field(
        default=None,
        description="scales larger images down: `{longer: 1024}`, `{shorter: 512}` or `{area: 1000000}`",
    )
    max_pixels: int = Field(
        default=178_000_000,
        gt=0,
        description="width x height, read from the header; larger images are rejected",
    )
    min_side: int | None = Field(
        default=None, gt=0, description="shorter side in pixels, before `resize`; smaller images are rejected"
    )
    max_side: int | None = Field(
        default=None, gt=0, description="longer side in pixels, before `resize`; larger images are rejected"
    )
    max_aspect: float | None = Field(
        default=None, ge=1, description="longer side by shorter side; images beyond are rejected"
    )
    max_bytes: int | None = Field(
        default=None, gt=0, description="bytes of the image as stored; larger ones are rejected"
    )

    def without_limits(self) -> ImageOptions:
        """The same form of stored images, with no limit but the default one on pixels."""
        return ImageOptions(format=self.format, quality=self.quality, color=self.color, resize=self.resize)
