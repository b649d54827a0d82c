"""PNG files at the level of chunks: whole or not, what they declare, and the image without metadata.

Chunks are those of the PNG specification (W3C, third edition), sections 5 and 11.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from ..catalog.models import Rejected
from ..catalog.status import Reason
from . import color, exif, icc
from .icc import Words16

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_NEEDED = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"})
_DECLARING = frozenset({b"iCCP", b"cICP", b"sRGB", b"gAMA", b"cHRM", b"eXIf"})
_RAW_PROFILES = (b"Raw profile type exif\0", b"Raw profile type APP1\0")
"""Keywords of text chunks in which ImageMagick and others write Exif data as hexadecimal digits."""
_MAX_EXIF = 1 << 20
_COMPONENTS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_SRGB_GAMMA = 1 / 2.2
_GAMMA_TOLERANCE = 0.05
"""How far gAMA may be from sRGB's and stand for it: the threshold of libpng."""
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 1 << 20


@dataclass(slots=True)
class Png:
    """A PNG file taken apart; `data` is the file with nothing in it but what decoding needs."""

    width: int
    height: int
    depth: int
    color_type: int
    interlaced: bool
    data: bytes = b""
    frames: int = 1
    coded: list[bytes] = field(default_factory=list)
    declared: dict[bytes, bytes] = field(default_factory=dict)
    transparent: tuple[int, ...] | None = None

    @property
    def is_gray(self) -> bool:
        """Whether samples are gray levels."""
        return self.color_type in (0, 4)

    @property
    def mode(self) -> str:
        """What Pillow calls such samples of 16 bits."""
        return {0: "I;16", 2: "RGB"}.get(self.color_type, "RGBA")

    @property
    def orientation(self) -> int:
        """The orientation, 1 to 8, by the file's Exif data."""
        return exif.orientation(self.declared.get(b"eXIf", b""))

    def profile(self) -> bytes | None:
        """The bytes of a profile that the file holds or its numbers stand for; None for sRGB.

        Chunks take precedence as in section 4.3: cICP, iCCP, sRGB, then gAMA with cHRM. Bytes of a damaged
        profile are returned as they are. Raises Rejected (`unsupported_format`) for high dynamic range.
        """
        declared = self.declared
        if len(declared.get(b"cICP", b"")) == 4:
            return color.from_code_points(declared[b"cICP"][0], declared[b"cICP"][1], gray=self.is_gray)
        if b"iCCP" in declared:
            packed = declared[b"iCCP"].partition(b"\0")[2][1:]
            try:
                return zlib.decompressobj().decompress(packed, icc.MAX_BYTES + 1) or packed
            except zlib.error:
                return packed
        if b"sRGB" in declared or len(declared.get(b"gAMA", b"")) != 4:
            return None
        exponent = int.from_bytes(declared[b"gAMA"], "big") / 100_000
        try:
            gamma = None if abs(exponent / _SRGB_GAMMA - 1) <= _GAMMA_TOLERANCE else 1 / exponent
            if self.is_gray:
                return None if gamma is None else icc.from_numbers(gamma)
            points = declared.get(b"cHRM", b"")
            numbers = (
                [value / 100_000 for value in struct.unpack(">8I", points)] if len(points) == 32 else None
            )
            if numbers is None:
                return None if gamma is None else icc.from_numbers(gamma, icc.SRGB_PRIMARIES)
            numbers = [value / 100_000 for value in struct.unpack(">8I", points)]
            white, red, green, blue = zip(numbers[::2], numbers[1::2], strict=True)
            return icc.from_numbers(gamma, (red, green, blue), white)
        except (ZeroDivisionError, icc.UnusableProfile):
            return b"unusable"

    def deep_samples(self) -> tuple[Words16, Words16 | None]:
        """The samples of a 16-bit image: levels (rows, columns[, 3]), and alpha (rows, columns) or None.

        Pillow's decoder gives 8 bits, the high or the low ones by the byte order that it is asked for.
        """
        levels: Words16
        if self.color_type == 0:
            levels = _wide(self._decoded("I;16", "I;16B"))
        elif self.color_type == 4:  # as four bytes a pixel
            pairs = _wide(self._decoded("RGBA", "RGBA"))
            return _joined(pairs[..., 0], pairs[..., 1]), _joined(pairs[..., 2], pairs[..., 3])
        else:
            mode = "RGB" if self.color_type == 2 else "RGBA"
            high, low = (_wide(self._decoded(mode, f"{mode};16{order}")) for order in "BL")
            levels = _joined(high, low)
            if self.color_type == 6:
                return levels[..., :3], levels[..., 3]
        if self.transparent is None:
            return levels, None
        clear = levels == np.array(self.transparent, np.uint16)
        clear = clear.all(axis=-1) if levels.ndim == 3 else clear
        return levels, np.where(clear, 0, 0xFFFF).astype(np.uint16)

    def _decoded(self, mode: str, rawmode: str) -> Image.Image:
        image = Image.new(mode, (self.width, self.height), None)
        image.frombytes(b"".join(self.coded), "zip", rawmode, int(self.interlaced))
        self.check_rows(image)
        return image

    def check_rows(self, image: Image.Image) -> None:
        """Raise Rejected (`truncated`) if the file holds fewer rows than it declares.

        Neither zlib nor Pillow notices; rows that do not arrive stay zero. So only an image whose last row is
        zero is unpacked once more, to count its bytes.
        """
        last = self.height - 1
        if self.interlaced:  # odd rows are filled by the last pass
            last -= 1 - last % 2
        row = image.crop((0, last, self.width, last + 1)).tobytes() if last >= 0 else b""
        if row.count(0) == len(row) and not self._has_all_rows():
            raise Rejected(Reason.TRUNCATED, "the PNG holds fewer rows than it declares")

    def _has_all_rows(self) -> bool:
        bits = self.depth * _COMPONENTS[self.color_type]
        passes = _PASSES if self.interlaced else ((0, 0, 1, 1),)
        expected = 0
        for left, top, across, down in passes:
            columns, rows = -(-(self.width - left) // across), -(-(self.height - top) // down)
            if columns > 0 and rows > 0:
                expected += rows * (1 + (columns * bits + 7) // 8)
        unpacker = zlib.decompressobj()
        for packed in self.coded:
            while packed and expected > 0:
                expected -= len(unpacker.decompress(packed, _PIECE))
                packed = unpacker.unconsumed_tail
        return expected <= 0


def parse(data: bytes) -> Png:
    """Take a PNG file apart: text, times, later frames and whatever follows the end are left out.

    Checks what a decoder does not: that the end is there, and the checksums of all that is kept.
    Raises Rejected (`truncated`, `corrupt`).
    """
    found: Png | None = None
    kept = [SIGNATURE]
    position = len(SIGNATURE)
    while True:
        if position + 12 > len(data):
            raise Rejected(Reason.TRUNCATED, "the PNG ends without its end chunk")
        length = int.from_bytes(data[position : position + 4], "big")
        name = data[position + 4 : position + 8]
        end = position + 12 + length
        if not name.isalpha():
            raise Rejected(Reason.CORRUPT, f"there is no chunk where one should start, at byte {position}")
        if end > len(data):
            raise Rejected(Reason.TRUNCATED, f"the PNG ends inside its chunk {name.decode('ascii')}")
        chunk = data[position:end] if name in _NEEDED or name in _DECLARING or name == b"acTL" else b""
        body = chunk[8:-4]
        intact = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if name in _NEEDED and not intact:
            raise Rejected(Reason.CORRUPT, f"wrong checksum in chunk {name.decode('ascii')}")
        if found is None:
            found = _header(name, body)
        elif name == b"IDAT":
            found.coded.append(body)
        elif name == b"tRNS":
            chunk = _transparency(found, body, chunk)
        elif name in _DECLARING and intact:
            found.declared.setdefault(name, body)
        elif name in (b"tEXt", b"zTXt") and b"eXIf" not in found.declared:
            text = data[position + 8 : end - 4]
            if text.startswith(_RAW_PROFILES):
                found.declared[b"eXIf"] = _raw_profile(name, text)
        elif name == b"acTL" and intact:
            found.frames = int.from_bytes(body[:4], "big")
        if name in _NEEDED:
            kept.append(chunk)
        if name == b"IEND":
            found.data = b"".join(kept)
            return found
        position = end


def _raw_profile(name: bytes, text: bytes) -> bytes:
    """Exif data, from their TIFF header on, in a text chunk; b"" if it is damaged."""
    body = text.partition(b"\0")[2]
    try:
        if name == b"zTXt":
            body = zlib.decompressobj().decompress(body[1:], 2 * _MAX_EXIF)
        exif_data = bytes.fromhex(b"".join(body.split()[2:]).decode("ascii"))
    except (zlib.error, ValueError):
        return b""
    return exif_data.removeprefix(b"Exif\0\0")


def _wide(image: Image.Image) -> Words16:
    return np.asarray(image).astype(np.uint16)


def _joined(high: Words16, low: Words16) -> Words16:
    joined: Words16 = np.left_shift(high, np.uint16(8)) | low
    return joined


def _header(name: bytes, body: bytes) -> Png:
    if name != b"IHDR" or len(body) != 13:
        raise Rejected(Reason.CORRUPT, "the PNG does not start with its header")
    width, height, depth, color_type, _, _, interlace = struct.unpack(">IIBBBBB", body)
    if not width or not height or color_type not in _COMPONENTS or depth not in (1, 2, 4, 8, 16):
        raise Rejected(
            Reason.CORRUPT, f"the PNG declares {width}x{height} pixels, type {color_type}, {depth} bits"
        )
    return Png(width, height, depth, color_type, interlace == 1)


def _transparency(found: Png, body: bytes, chunk: bytes) -> bytes:
    """Note the transparent level or color; returns the chunk in the scale of the samples that Pillow decodes.

    Pillow compares it with samples that are scaled to 8 bits, though it is given in the file's depth.
    """
    if found.color_type not in (0, 2):
        return chunk
    count = _COMPONENTS[found.color_type]
    if len(body) < 2 * count:
        return b""
    highest = (1 << found.depth) - 1
    found.transparent = tuple(level & highest for level in struct.unpack_from(f">{count}H", body))
    if found.depth == 16:
        return chunk
    scale = 1 if found.depth == 1 else 255 // highest
    scaled = b"tRNS" + struct.pack(f">{count}H", *(level * scale for level in found.transparent))
    return struct.pack(">I", 2 * count) + scaled + struct.pack(">I", zlib.crc32(scaled))
