"""ICC profiles: read, judged by what they do to colors, and made where a file gives numbers instead.

The format is ICC.1:2022. Little CMS evaluates profiles, through Pillow.
"""

from __future__ import annotations

import struct
from functools import cached_property, lru_cache
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

MAX_BYTES = 16 << 20
"""Larger profiles are not used."""

SRGB_TOLERANCE = 2
"""Levels of 255 by which a profile may differ from sRGB and count as sRGB."""

SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
D65 = (0.3127, 0.3290)

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}

Bytes8 = npt.NDArray[np.uint8]
Words16 = npt.NDArray[np.uint16]
Chromaticity = tuple[float, float]


class UnusableProfile(Exception):
    """The profile cannot be evaluated for the image that carries it."""


class Profile:
    """A usable profile for images of mode L, RGB or CMYK (`mode`); `data` are its bytes."""

    def __init__(self, data: bytes) -> None:
        if not 128 <= len(data) <= MAX_BYTES:
            raise UnusableProfile(f"a profile of {len(data):,} bytes")
        try:
            profile = ImageCms.ImageCmsProfile(BytesIO(data))
            self.mode = _MODES[profile.profile.xcolor_space.strip()]
            # The intent and the black point compensation that image viewers use by default.
            self._transform = ImageCms.buildTransform(
                profile,
                _SRGB,
                self.mode,
                "RGB",
                renderingIntent=ImageCms.Intent.PERCEPTUAL,
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except (OSError, KeyError, ImageCms.PyCMSError) as error:
            raise UnusableProfile(str(error)) from error
        self.data = data

    def to_rgb(self, image: Image.Image) -> Image.Image:
        """The image, whose mode is the profile's, in sRGB, mode RGB."""
        converted = ImageCms.applyTransform(image, self._transform)
        assert converted is not None
        return converted

    @cached_property
    def gray_levels(self) -> Bytes8:
        """The sRGB level of each of 256 gray levels, of a profile for gray images."""
        ramp = self.to_rgb(Image.frombytes("L", (256, 1), bytes(range(256))))
        return np.asarray(ramp)[0, :, 1]

    @cached_property
    def is_srgb(self) -> bool:
        """Whether conversion to sRGB changes no color by more than SRGB_TOLERANCE."""
        if self.mode == "CMYK":
            return False
        if self.mode == "L":
            return _differ_little(self.gray_levels, np.arange(256))
        steps = np.array([0, 1, 3, 8, 16, 32, 64, 96, 128, 160, 192, 224, 255], np.uint8)
        probe = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 1, 3)
        return _differ_little(np.asarray(self.to_rgb(Image.fromarray(probe))), probe)


@lru_cache(maxsize=64)
def load(data: bytes) -> Profile:
    """The profile; raises UnusableProfile."""
    return Profile(data)


def _differ_little(one: npt.NDArray[np.generic], other: npt.NDArray[np.generic]) -> bool:
    return int(np.abs(one.astype(int) - other.astype(int)).max()) <= SRGB_TOLERANCE


# --- profiles from numbers ------------------------------------------------------------------------


@lru_cache(maxsize=64)
def from_numbers(
    gamma: float | None,
    primaries: tuple[Chromaticity, Chromaticity, Chromaticity] | None = None,
    white: Chromaticity = D65,
) -> bytes:
    """A profile: samples are light to the power of 1/`gamma` (None: sRGB's curve).

    For gray images without `primaries`, else for RGB ones. Raises UnusableProfile for impossible numbers.
    """
    if gamma is not None and not 0.1 <= gamma <= 10:
        raise UnusableProfile(f"a gamma of {gamma:g}")
    if gamma is None:  # IEC 61966-2-1
        curve = b"para\0\0\0\0\0\3\0\0" + _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    else:
        curve = b"para\0\0\0\0\0\0\0\0" + _fixed(gamma)
    tags = {b"wtpt": _xyz(_D50)}
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        for name, column in zip(b"rgb", _to_d50(primaries, white).T, strict=True):
            tags[bytes([name]) + b"XYZ"] = _xyz(column)
            tags[bytes([name]) + b"TRC"] = curve
    return _assemble(tags, b"GRAY" if primaries is None else b"RGB ")


def _to_d50(
    primaries: tuple[Chromaticity, Chromaticity, Chromaticity], white: Chromaticity
) -> npt.NDArray[np.float64]:
    """The matrix from linear RGB to XYZ adapted to D50 (Bradford), its columns the primaries."""
    try:
        columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
        source = np.array([white[0] / white[1], 1.0, (1 - white[0] - white[1]) / white[1]])
        matrix = columns * np.linalg.solve(columns, source)
    except (ZeroDivisionError, np.linalg.LinAlgError) as error:
        raise UnusableProfile("impossible primaries") from error
    gains = (_BRADFORD @ _D50) / (_BRADFORD @ source)
    adapted: npt.NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD @ matrix
    if not np.isfinite(adapted).all() or np.abs(adapted).max() > 10:
        raise UnusableProfile("impossible primaries")
    return adapted


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _xyz(values: npt.NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)


def _assemble(tags: dict[bytes, bytes], space: bytes) -> bytes:
    tags = {
        b"desc": b"mluc\0\0\0\0\0\0\0\1\0\0\0\x0cenUS\0\0\0\2\0\0\0\x1c\0-",
        b"cprt": b"mluc\0\0\0\0\0\0\0\1\0\0\0\x0cenUS\0\0\0\2\0\0\0\x1c\0-",
        **tags,
    }
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(value))
        body += value.ljust(-(-len(value) // 4) * 4, b"\0")
    header = struct.pack(
        ">I4s4s4s4s4s", offset + len(body), b"\0\0\0\0", b"\x04\x30\0\0", b"mntr", space, b"XYZ "
    )
    header = header.ljust(36, b"\0") + b"acsp"
    header = header.ljust(68, b"\0") + _fixed(*_D50)
    return header.ljust(128, b"\0") + table + body
