"""Images made for tests, and the bytes of image files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image


def photo(width: int = 160, height: int = 120, seed: int = 1) -> Image.Image:
    """An RGB image with detail at all scales."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (3, 9, 27, 81):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), float) / cells**0.7
    total -= total.min()
    return Image.fromarray((total * (255 / total.max())).astype(np.uint8))


def encode(image: Image.Image, name: str, **settings: Any) -> bytes:
    """The bytes of an image file: `encode(image, "PNG")`."""
    buffer = io.BytesIO()
    image.save(buffer, name, **settings)
    return buffer.getvalue()


def decode(data: bytes) -> Image.Image:
    """The image in a file's bytes, decoded."""
    image: Image.Image = Image.open(io.BytesIO(data))
    image.load()
    return image


def pixel(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    """The levels of a pixel, one for each band."""
    levels = image.getpixel((x, y))
    return levels if isinstance(levels, tuple) else (int(levels or 0),)
