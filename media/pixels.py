"""Brings decoded pixels into the form that a corpus holds: 8 bits, gray or RGB, sRGB, nothing transparent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from .color import reduce_depth, to_srgb, usable
from .icc import Words16

_ALPHA = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})


@dataclass(frozen=True, slots=True)
class Samples:
    """Decoded samples of more than 8 bits: levels (rows, columns[, 3 or 4]) and alpha (rows, columns)."""

    levels: Words16
    alpha: Words16 | None = None


@dataclass(frozen=True, slots=True)
class Plain:
    """8-bit pixels of mode L or RGB, and the profile that they need to be shown right; None for sRGB."""

    image: Image.Image
    profile: bytes | None = None


def flatten(
    decoded: Image.Image | Samples, profile: bytes | None, changed: list[str], *, keep_color: bool = False
) -> Plain:
    """The image in 8 bits and sRGB, transparent pixels over white; `profile` is the file's, if it holds one.

    Bilevel and 8-bit gray images become L, all others RGB. With `keep_color` the numbers of gray and RGB
    images stay, and the result has their profile. What is changed is appended to `changed`.
    """
    if isinstance(decoded, Image.Image):
        if decoded.mode.startswith(("I", "F")):
            return flatten(Samples(words(np.asarray(decoded))), profile, changed, keep_color=keep_color)
        levels, alpha = _split(decoded, changed)
        if decoded.mode == "LAB":  # converted already, by its definition
            profile = None
        used = usable(profile, levels.mode, changed)
        kept = used.data if used and keep_color and levels.mode != "CMYK" else None
        return Plain(
            _over_white(to_srgb(levels, None if kept else used, changed), alpha, gray=bool(kept)), kept
        )
    mode = "L" if decoded.levels.ndim == 2 else {3: "RGB", 4: "CMYK"}[decoded.levels.shape[2]]
    if decoded.alpha is not None:
        changed.append("alpha")
    used = usable(profile, mode, changed)
    kept = used.data if used and keep_color and mode != "CMYK" else None
    levels8 = reduce_depth(decoded.levels, None if kept else used, changed)
    converted = used is not None and not kept
    image = Image.fromarray(levels8, "RGB" if converted and mode == "CMYK" else mode)
    if image.mode == "CMYK":
        image = to_srgb(image, None, changed)
    if image.mode == "L" and not kept:
        image = image.convert("RGB")
    mask = None if decoded.alpha is None else Image.fromarray((decoded.alpha >> 8).astype(np.uint8))
    return Plain(_over_white(image, mask, gray=bool(kept)), kept)


def _split(image: Image.Image, changed: list[str]) -> tuple[Image.Image, Image.Image | None]:
    """The image as 8-bit L, RGB or CMYK, and its alpha channel if it has one."""
    mode = image.mode
    if mode in _ALPHA or "transparency" in image.info:
        changed.append("alpha")
        if mode in ("RGBa", "La"):
            image = image.convert({"RGBa": "RGBA", "La": "LA"}[mode])
        if image.mode == "LA":
            return image.getchannel("L"), image.getchannel("A")
        pixels = image.convert("RGBA")
        levels = image.convert("L") if mode in ("1", "L") else pixels.convert("RGB")
        return levels, pixels.getchannel("A")
    if mode in ("L", "RGB", "CMYK"):
        return image, None
    changed.append({"1": "depth", "P": "palette"}.get(mode, "color"))
    return image.convert("L" if mode == "1" else "RGB"), None


def _over_white(image: Image.Image, alpha: Image.Image | None, *, gray: bool) -> Image.Image:
    if alpha is None:
        return image
    white = Image.new(image.mode if gray else "RGB", image.size, "white")
    white.paste(image if image.mode == white.mode else image.convert(white.mode), mask=alpha)
    return white


def words(values: npt.NDArray[np.generic]) -> Words16:
    """Samples of any type as 16 bits.

    Unsigned samples of 8 and 16 bits and floats within 0 to 1 have a scale of their own, as have signed
    bytes. All others are stretched from their extremes, for want of a convention; values that are not
    numbers are black, infinite ones the extremes.
    """
    if values.dtype == np.uint8:
        return values.astype(np.uint16) * np.uint16(257)
    if values.dtype == np.int8:
        return words((values.astype(np.int16) + 128).astype(np.uint8))
    low, high = 0.0, 1.0
    if values.dtype.kind == "f":
        finite = values[np.isfinite(values)].astype(np.float64)
        if finite.size and (finite.min() < 0 or finite.max() > 1):
            low, high = float(finite.min()), float(finite.max())
        scaled = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    else:
        low, high = float(values.min()), float(values.max())
        if low >= 0 and (values.dtype == np.uint16 or (values.dtype == np.int32 and high <= 0xFFFF)):
            return values.astype(np.uint16)  # Pillow decodes 16 bits of some formats to int32
        scaled = values.astype(np.float64)
    found: Words16 = ((scaled - low) * (65535.0 / (high - low or 1.0))).round().astype(np.uint16)
    return found
