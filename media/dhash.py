"""The difference hash: 64 bits that differ in few places for similar images."""

from __future__ import annotations

from operator import gt

from PIL import Image

COARSE = 32
"""Pixels a side that are enough for the hash."""

_RAISED = bytes(min(value + 2, 255) for value in range(256))
_DIGITS = bytes.maketrans(b"\0\1", b"01")


def difference_hash(image: Image.Image, box: tuple[int, int, float, float] | None = None) -> str:
    """64-bit difference hash, 16 hex digits: each bit is whether a cell is lighter than its left neighbour.

    Cells are those of a 9x8 grid over the luma; rows from the top, first bit highest. After N. Krawetz,
    "Kind of Like That", 2013, but lighter means by more than 2 of 255, so that flat areas do not turn
    the noise of an encoder into bits: copies in another encoding differ in 0 or 1 bits, rarely in 4.
    `box` is the part of an image already scaled down that the image covers, as `draft` returns it.
    """
    if box is None:
        factor = next((f for f in (8, 4, 2) if min(image.size) >= COARSE * f), 1)
        box = (0, 0, image.width / factor, image.height / factor)
        image = (image.reduce(factor) if factor > 1 else image).convert("L")
    cells = image.resize((9, 8), Image.Resampling.BILINEAR, box).tobytes()
    lighter = bytearray(map(gt, cells[1:], cells.translate(_RAISED)))
    del lighter[8::9]  # the first cell of a row against the last of the row above
    return f"{int(lighter.translate(_DIGITS), 2):016x}"
