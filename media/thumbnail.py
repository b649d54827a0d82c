"""Scales a stored image down to a thumbnail."""

from __future__ import annotations

import io

from PIL import Image

QUALITY = 80


def thumbnail(data: bytes, side: int) -> bytes:
    """Return a JPEG of a stored image (JPEG, PNG, WebP) whose longer side has at most `side` pixels.

    A small image keeps its size. Raises OSError or ValueError if the image does not decode.
    """
    with Image.open(io.BytesIO(data)) as image:
        image.draft(None, (side, side))  # a JPEG is decoded at a fraction of its size
        image.thumbnail((side, side), reducing_gap=2.0)
        out = io.BytesIO()
        (image if image.mode in ("L", "RGB") else image.convert("RGB")).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()
