"""TIFF files whose samples Pillow does not decode right: more than 8 bits, signed, floating point.

The directory is read here (TIFF 6.0, BigTIFF). The coded data of a plane are decoded by libtiff, through
Pillow, as the gray image of its bytes: every compression is decoded, and nothing is done to the samples.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import TiffImagePlugin

from ..catalog.models import Rejected
from ..catalog.status import Reason
from .pixels import Samples, words

_FORMATS = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_MAX_DIRECTORIES = 10_000
_REDUCED = 1  # NewSubfileType: a smaller version of another page

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIPS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES, _PLANAR = 273, 277, 278, 279, 284
_PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 317, 322, 323, 324, 325
_EXTRA, _SAMPLE_FORMAT, _SUBFILE, _ORIENTATION, _PROFILE = 338, 339, 254, 274, 34675

Values = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Directory:
    """The first image's directory: its integer tags, the byte order, and the number of pages in the file."""

    order: str
    big: bool
    tags: dict[int, tuple[int, ...]]
    pages: int

    def first(self, tag: int, default: int = 0) -> int:
        """The first value of a tag."""
        return (self.tags.get(tag) or (default,))[0]

    @property
    def is_beyond_pillow(self) -> bool:
        """Whether Pillow cannot decode the file, or decodes it wrongly: deep, signed or floating samples."""
        deep = max(self.tags.get(_BITS, (1,))) > 12 or self.first(_SAMPLE_FORMAT, 1) in (2, 3)
        return deep or (self.big and self.order == ">")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as coded."""
        return self.first(_WIDTH), self.first(_HEIGHT)

    @property
    def orientation(self) -> int:
        """The orientation, 1 to 8."""
        value = self.first(_ORIENTATION, 1)
        return value if 1 <= value <= 8 else 1

    @property
    def profile(self) -> bytes | None:
        """The ICC profile's bytes."""
        values = self.tags.get(_PROFILE)
        return bytes(values) if values and max(values) < 256 and min(values) >= 0 else None

    @property
    def unused_bits(self) -> int:
        """Bits that the samples of a 12-bit image, as Pillow decodes them, lack of 16."""
        return 4 if self.tags.get(_BITS) == (12,) else 0

    @property
    def mode(self) -> str:
        """What Pillow calls such samples."""
        count = self.first(_SAMPLES, 1) - len(self._alphas())
        if count == 1 and not self._alphas():
            if self.first(_SAMPLE_FORMAT, 1) == 3:
                return "F"
            return {8: "L", 16: "I;16"}.get(self.first(_BITS), "I")
        return {1: "L", 3: "RGB", 4: "CMYK"}.get(count, str(count)) + "A" * bool(self._alphas())

    def _alphas(self) -> tuple[int, ...]:
        return tuple(kind for kind in self.tags.get(_EXTRA, ()) if kind in (1, 2))


def directory(data: bytes) -> Directory | None:
    """The file's directory; None if it cannot be read."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
        (position,) = struct.unpack_from(f"{order}Q" if big else f"{order}I", data, 8 if big else 4)
        first: dict[int, tuple[int, ...]] | None = None
        seen: set[int] = set()
        pages = 0
        while position and position not in seen and len(seen) < _MAX_DIRECTORIES:
            seen.add(position)
            try:
                tags, position = _directory_at(data, position, order, big)
            except struct.error:
                if first is None:
                    return None
                break  # pages follow that cannot be found
            first = tags if first is None else first
            pages += not tags.get(_SUBFILE, (0,))[0] & _REDUCED
    except struct.error:
        return None
    return None if first is None else Directory(order, big, first, max(pages, 1))


def _directory_at(
    data: bytes, position: int, order: str, big: bool
) -> tuple[dict[int, tuple[int, ...]], int]:
    head, entry, pointer = ("Q", "HHQ", "Q") if big else ("H", "HHI", "I")
    (count,) = struct.unpack_from(order + head, data, position)
    position += struct.calcsize(order + head)
    if count > 4096:
        raise struct.error("too many entries")
    room = 8 if big else 4
    size = struct.calcsize(order + entry) + room
    tags: dict[int, tuple[int, ...]] = {}
    for _ in range(count):
        tag, kind, number = struct.unpack_from(order + entry, data, position)
        letter = _FORMATS.get(kind)
        if letter is not None and number <= len(data):
            layout = f"{order}{number}{letter}"
            at = position + size - room
            if struct.calcsize(layout) > room:
                (at,) = struct.unpack_from(order + pointer, data, at)
            tags[tag] = struct.unpack_from(layout, data, at)
        position += size
    return tags, struct.unpack_from(order + pointer, data, position)[0]


def read(data: bytes, found: Directory) -> Samples:
    """The first image of a file whose samples are deep, upright as coded.

    Raises Rejected (`unsupported_format`), and whatever Pillow raises for damaged data.
    """
    width, height = found.first(_WIDTH), found.first(_HEIGHT)
    count, photometric = found.first(_SAMPLES, 1), found.first(_PHOTOMETRIC, 1)
    bits, kind = set(found.tags.get(_BITS, (1,))), found.first(_SAMPLE_FORMAT, 1)
    colors = {0: 1, 1: 1, 2: 3, 5: 4}.get(photometric)
    layout = f"{found.order}{ {1: 'u', 2: 'i', 3: 'f', 4: 'u'}.get(kind, '?') }{max(bits) // 8}"
    if (
        colors is None
        or colors > count
        or len(bits) != 1
        or layout[1:] not in ("u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8")
        or max(bits) % 8
        or found.first(_COMPRESSION, 1) in (6, 7)
        or width * height == 0
    ):
        kind_of = f"{count} samples of {max(bits)} bits, photometric {photometric}, sample format {kind}"
        raise Rejected(Reason.UNSUPPORTED_FORMAT, f"a TIFF of {kind_of}")
    dtype = np.dtype(layout)
    if found.first(_PLANAR, 1) == 2:
        planes = [_plane(data, found, dtype, 1, plane, count) for plane in range(count)]
        values = np.concatenate(planes, axis=2)
    else:
        values = _plane(data, found, dtype, count, 0, 1)
    extra = found.tags.get(_EXTRA, ())
    alpha = words(values[..., colors]) if count > colors and extra and extra[0] in (1, 2) else None
    levels = words(values[..., 0] if colors == 1 else values[..., :colors])
    if photometric == 0:
        levels = np.uint16(0xFFFF) - levels
    if alpha is not None and extra[0] == 1:
        levels = _unpremultiplied(levels, alpha)
    return Samples(levels, alpha)


def _unpremultiplied(levels: Values, alpha: Values) -> npt.NDArray[np.uint16]:
    divisor = np.maximum(alpha, 1).astype(np.float64) / 65535
    if levels.ndim == 3:
        divisor = divisor[..., np.newaxis]
    clear: npt.NDArray[np.uint16] = (levels / divisor).round().clip(0, 65535).astype(np.uint16)
    return clear


def _plane(
    data: bytes, found: Directory, dtype: np.dtype[Any], samples: int, plane: int, planes: int
) -> Values:
    """One plane's samples (rows, columns, samples) in the machine's byte order."""
    width, height = found.first(_WIDTH), found.first(_HEIGHT)
    pixel = samples * dtype.itemsize
    if _TILES in found.tags:
        across, down = found.first(_TILE_WIDTH), found.first(_TILE_HEIGHT)
        if not across or not down:
            raise Rejected(Reason.CORRUPT, "the TIFF's tiles have no size")
        columns, rows = -(-width // across) * across, -(-height // down) * down
        offsets, lengths = _TILES, _TILE_BYTES
        more = {_TILE_WIDTH: (across * pixel,), _TILE_HEIGHT: (down,)}
    else:
        across, columns, rows = width, width, height
        offsets, lengths = _STRIPS, _STRIP_BYTES
        more = {_ROWS_PER_STRIP: (min(found.first(_ROWS_PER_STRIP, height), height),)}
    share = len(found.tags.get(offsets, ())) // planes
    tags = {
        _WIDTH: (columns * pixel,),
        _HEIGHT: (rows,),
        _BITS: (8,),
        _COMPRESSION: (found.first(_COMPRESSION, 1),),
        _PHOTOMETRIC: (1,),
        _SAMPLES: (1,),
        _FILL_ORDER: (found.first(_FILL_ORDER, 1),),
        offsets: found.tags.get(offsets, ())[plane * share : (plane + 1) * share],
        lengths: found.tags.get(lengths, ())[plane * share : (plane + 1) * share],
        **more,
    }
    with TiffImagePlugin.TiffImageFile(BytesIO(_with_directory(data, tags))) as image:
        coded = np.asarray(image).reshape(rows, -1, across * pixel)
    predictor = found.first(_PREDICTOR, 1) if found.first(_COMPRESSION, 1) != 1 else 1
    if predictor == 3:
        coded = _without_float_predictor(coded, samples, dtype)
        dtype = dtype.newbyteorder("<")
    values = np.ascontiguousarray(coded).view(dtype).reshape(rows, -1, across, samples)
    values = values.astype(dtype.newbyteorder("="))
    if predictor == 2:
        unsigned = values.view(np.dtype(f"u{dtype.itemsize}"))
        values = np.cumsum(unsigned, axis=2, dtype=unsigned.dtype).view(values.dtype)
    return values.reshape(rows, columns, samples)[:height, :width]


def _without_float_predictor(coded: Values, samples: int, dtype: np.dtype[Any]) -> Values:
    """Bytes of floating-point samples, lowest byte first (TIFF Technical Note 3)."""
    rows, tiles, length = coded.shape
    summed = np.cumsum(coded.reshape(rows, tiles, -1, samples), axis=2, dtype=np.uint8)
    by_significance = summed.reshape(rows, tiles, dtype.itemsize, length // dtype.itemsize)
    return np.swapaxes(by_significance[:, :, ::-1], 2, 3).reshape(coded.shape)


def _with_directory(data: bytes, tags: dict[int, tuple[int, ...]]) -> bytes:
    """The file with another directory, which stands at its end: a little-endian classic TIFF."""
    start = len(data) + len(data) % 2
    values_at = start + 2 + 12 * len(tags) + 4
    table, values = struct.pack("<H", len(tags)), b""
    for tag, numbers in sorted(tags.items()):
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        if len(packed) > 4:
            packed, values = struct.pack("<I", values_at + len(values)), values + packed
        table += struct.pack("<HHI", tag, 4, len(numbers)) + packed.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", start) + data[8:].ljust(start - 8, b"\0") + table + bytes(4) + values
