"""Images for benchmarks: JPEGs with the spectrum of photographs, equal for equal seeds on any machine."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def photo(seed: int, width: int = 640, height: int = 480) -> bytes:
    """A JPEG with detail at all scales; about 35 KB at 640x480, like images of web crawls."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (4, 16, 64, 160):
        noise = Image.fromarray(
            rng.integers(0, 256, (max(2, cells * height // width), cells, 3), dtype=np.uint8)
        )
        total += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), float) / cells**0.5
    total -= total.min()
    buffer = io.BytesIO()
    Image.fromarray((total * (255 / total.max())).astype(np.uint8)).save(buffer, "JPEG", quality=79)
    return buffer.getvalue()


def scaled_decode(data: bytes) -> None:
    """Decode all coefficients to an eighth of the pixels, which detects every truncation."""
    image = Image.open(io.BytesIO(data))
    image.draft("L", (image.width // 8, image.height // 8))
    image.load()
