"""Images made for the tests of normalization."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def photo() -> Callable[..., Image.Image]:
    """A image with detail at all scales: `photo(width, height, seed)`, RGB."""

    def make(width: int = 160, height: int = 120, seed: int = 1) -> Image.Image:
        rng = np.random.default_rng(seed)
        total = np.zeros((height, width, 3))
        for cells in (3, 9, 27, 81):
            noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
            total += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), float) / cells**0.7
        total -= total.min()
        return Image.fromarray((total * (255 / total.max())).astype(np.uint8))

    return make


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """`encode(image, "PNG", **settings)`: the bytes of an image file."""

    def make(image: Image.Image, name: str, **settings: Any) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, name, **settings)
        return buffer.getvalue()

    return make


@pytest.fixture(scope="session")
def decode() -> Callable[[bytes], Image.Image]:
    """The image in a file's bytes, decoded."""

    def read(data: bytes) -> Image.Image:
        image = Image.open(io.BytesIO(data))
        image.load()
        return image

    return read
