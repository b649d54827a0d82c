"""The color rule: what a file declares about its colors, and its pixels in sRGB.

One rule for every format: a profile (ICC, or numbers that stand for one) that differs from sRGB is applied;
without a profile, or with one that cannot be used, the numbers are sRGB.
"""

from __future__ import annotations

import re
import struct

import numpy as np
from PIL import Image

from ..catalog.models import Rejected
from ..catalog.status import Reason
from . import icc
from .icc import Bytes8, Profile, Words16

_PRIMARIES = {
    # ITU-T H.273, table 2: values that differ from BT.709's, whose primaries are sRGB's
    4: (((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), (0.310, 0.316)),
    5: (((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), icc.D65),
    6: (((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), icc.D65),
    7: (((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), icc.D65),
    8: (((0.681, 0.319), (0.243, 0.692), (0.145, 0.049)), (0.310, 0.316)),
    9: (((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), icc.D65),
    11: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), (0.314, 0.351)),
    12: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), icc.D65),
}
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
"""H.273, table 3: the curves that are powers. BT.709's and its relatives are shown with sRGB's curve."""
_HDR = {16: "PQ", 18: "HLG"}


def usable(data: bytes | None, mode: str, changed: list[str]) -> Profile | None:
    """The profile to apply to an image of `mode` L, RGB or CMYK; None if its numbers are sRGB as they are.

    Appends "profile" to `changed` for one that is damaged or made for another kind of image.
    """
    if not data:
        return None
    try:
        profile = icc.load(data)
    except icc.UnusableProfile:
        profile = None
    if profile is None or profile.mode != mode:
        changed.append("profile")
        return None
    return None if profile.is_srgb else profile


def from_code_points(primaries: int, transfer: int, *, gray: bool) -> bytes | None:
    """The profile that H.273's code points (PNG's cICP, AVIF's nclx) stand for; None for sRGB.

    Raises Rejected (`unsupported_format`) for HDR, which has no rendering in sRGB that decoders agree on.
    """
    if transfer in _HDR:
        raise Rejected(Reason.UNSUPPORTED_FORMAT, f"high dynamic range ({_HDR[transfer]})")
    gamma = _GAMMAS.get(transfer)
    colors, white = _PRIMARIES.get(primaries, (icc.SRGB_PRIMARIES, icc.D65))
    if gamma is None and primaries not in _PRIMARIES:
        return None
    return icc.from_numbers(gamma, None if gray else colors, white)


def in_container(data: bytes, media_type: str, mode: str) -> bytes | None:
    """The profile in a file of a format of which Pillow passes none on: AVIF's nclx, JPEG 2000, GIF, BMP."""
    if media_type == "image/avif":
        match = re.search(rb"colrnclx(..)(..)", data[: 1 << 20], re.DOTALL)
        if match:
            primaries, transfer = (int.from_bytes(part, "big") for part in match.groups())
            return from_code_points(primaries, transfer, gray=mode in ("L", "LA"))
    elif media_type == "image/jp2":
        return _in_jpeg2000(data)
    elif media_type == "image/gif":
        start = data.find(b"\x21\xff\x0bICCRGBG1012")
        return _sub_blocks(data, start + 14) if start >= 0 else None
    elif media_type == "image/bmp" and data[14:18] == b"\x7c\0\0\0" and data[70:74] == b"DEBM":
        offset, size = struct.unpack_from("<II", data, 14 + 112)
        return data[14 + offset : 14 + offset + size]
    return None


def _in_jpeg2000(data: bytes) -> bytes | None:
    """The ICC profile of a JP2 file's color specification box (ISO/IEC 15444-1, I.5.3.3)."""
    head = data[: data.find(b"jp2c") if b"jp2c" in data else None]
    for match in re.finditer(rb"colr[\2\3]", head):
        start = match.start()
        size = int.from_bytes(head[start - 4 : start], "big")
        return head[start + 7 : start - 4 + size]
    return None


def _sub_blocks(data: bytes, position: int) -> bytes:
    blocks = []
    while position < len(data) and data[position]:
        blocks.append(data[position + 1 : position + 1 + data[position]])
        position += 1 + data[position]
    return b"".join(blocks)


# --- conversion -----------------------------------------------------------------------------------


def to_srgb(image: Image.Image, profile: Profile | None, changed: list[str]) -> Image.Image:
    """An 8-bit image of mode L, RGB or CMYK in sRGB: L stays L, all others become RGB."""
    if profile is not None or image.mode == "CMYK":
        changed.append("color")
    if profile is None:
        return image.convert("RGB") if image.mode == "CMYK" else image
    if profile.mode == "L":
        return image.point(profile.gray_levels.tolist())
    return profile.to_rgb(image)


def reduce_depth(samples: Words16, profile: Profile | None, changed: list[str]) -> Bytes8:
    """16-bit samples (rows, columns[, 3 or 4]) as 8-bit ones, in sRGB if a profile is given.

    Little CMS converts 8 bits here, so the 16-bit values are interpolated between the colors of their
    8-bit neighbors: within a cell of that grid the conversion is as good as linear.
    """
    changed.append("depth")
    if profile is None:
        return (samples >> 8).astype(np.uint8)
    changed.append("color")
    if profile.mode == "L":
        levels = np.interp(samples.ravel(), np.arange(256) * 257.0, profile.gray_levels)
        return levels.round().astype(np.uint8).reshape(samples.shape)
    below = (samples // 257).astype(np.uint8)
    share = (samples % 257).astype(np.float32) / 257
    base = _convert(profile, below)
    total = base.copy()
    for channel in range(samples.shape[2]):
        beside = below.copy()
        beside[..., channel] += share[..., channel] > 0  # 255 has no share: it is the end of the scale
        total += (_convert(profile, beside) - base) * share[..., channel, np.newaxis]
    rounded: Bytes8 = total.round().clip(0, 255).astype(np.uint8)
    return rounded


def _convert(profile: Profile, samples: Bytes8) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    image = Image.fromarray(samples, profile.mode)
    return np.asarray(profile.to_rgb(image), np.float32)
