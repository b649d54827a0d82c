"""Stored pixels beside those of ImageMagick, an independent decoder."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from derlem.media.image import normalize
from tests.factories.image_files import icc_profile, png_file, tiff_file
from tests.factories.imagemagick import SRGB, imagemagick, reference

TOLERANCE = 6
"""Levels of 255, between the centers of flat patches: what JPEG and rounding may cost."""

PATCH, ACROSS, DOWN = 16, 4, 3
COLORS = np.array(
    [
        [[250, 40, 30], [30, 200, 60], [20, 40, 230], [128, 128, 128]],
        [[0, 0, 0], [255, 255, 255], [55, 13, 128], [90, 200, 220]],
        [[200, 160, 40], [12, 12, 12], [60, 60, 60], [180, 90, 150]],
    ],
    np.uint8,
)
PIXELS = COLORS.repeat(PATCH, 0).repeat(PATCH, 1)
PROFILES = {
    "none": None,
    "sRGB": SRGB,
    "P3": icc_profile(2.2, "p3"),
    "linear, called sRGB": icc_profile(1, "srgb", "Linear sRGB"),
    "swapped": icc_profile(2.2, "swapped"),
    "ProPhoto, large": icc_profile(1.8, "prophoto", pad=1_200_000),
}
GRAY_PROFILES = {"none": None, "gray 1.8": icc_profile(1.8, None), "gray linear": icc_profile(1, None)}


pytestmark = pytest.mark.skipif(imagemagick() is None, reason="ImageMagick is not installed")


def centers(pixels: np.ndarray) -> np.ndarray:
    return pixels[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH]


def assert_same(data: bytes, suffix: str, folder: Path) -> None:
    stored = np.asarray(Image.open(io.BytesIO(normalize(data).data)).convert("RGB"), int)
    expected = reference(data, suffix, folder)
    assert expected is not None and stored.shape == expected.shape
    assert np.abs(centers(stored) - centers(expected)).max() <= TOLERANCE


def encoded(image: Image.Image, name: str, profile: bytes | None, **settings: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **({"icc_profile": profile} if profile else {}), **settings)
    return buffer.getvalue()


def deep_png(pixels: np.ndarray, profile: bytes | None, alpha: bool) -> bytes:
    """16 bits a sample, low bytes of which count."""
    words = pixels.astype(">u2") * 257
    words = np.where(words > 300, words - 200, words).astype(">u2")
    if words.ndim == 2:
        words = words[..., np.newaxis]
    kind = {1: 0, 3: 2}[words.shape[2]]
    if alpha:
        kind += 4
        words = np.concatenate([words, np.full((*words.shape[:2], 1), 0x9000, ">u2")], axis=2)
    rows = [row.tobytes() for row in words]
    chunks = [] if profile is None else [(b"iCCP", b"x\0\0" + zlib.compress(profile))]
    return png_file(pixels.shape[1], pixels.shape[0], 16, kind, rows, *chunks)


def deep_tiff(pixels: np.ndarray, profile: bytes | None, order: str, planar: bool) -> bytes:
    words = pixels.astype(f"{order}u2") * 257
    tags: dict[int, tuple[str, tuple[int, ...] | bytes]] = {
        256: ("I", (pixels.shape[1],)),
        257: ("I", (pixels.shape[0],)),
        258: ("H", (16, 16, 16)),
        259: ("H", (1,)),
        262: ("H", (2,)),
        277: ("H", (3,)),
        278: ("I", (pixels.shape[0],)),
        284: ("H", (2 if planar else 1,)),
    }
    if profile is not None:
        tags[34675] = ("B", profile)
    strips = [words[..., channel].tobytes() for channel in range(3)] if planar else [words.tobytes()]
    return tiff_file(order, tags, strips)


SETTINGS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_profiles_in_every_container(name: str, profile: str, tmp_path: Path) -> None:
    settings = SETTINGS.get(name, {})
    data = encoded(Image.fromarray(PIXELS), name, PROFILES[profile], **settings)
    assert_same(data, name.lower(), tmp_path)


@pytest.mark.parametrize("profile", GRAY_PROFILES)
@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF"])
def test_gray_profiles(name: str, profile: str, tmp_path: Path) -> None:
    data = encoded(Image.fromarray(PIXELS[..., 1]), name, GRAY_PROFILES[profile])
    assert_same(data, name.lower(), tmp_path)


@pytest.mark.parametrize("profile", ["none", "P3", "linear, called sRGB"])
def test_alpha_and_palettes_with_profiles(profile: str, tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    clear = image.copy()
    clear.putalpha(Image.fromarray(PIXELS[..., 0]).point(lambda level: 255 if level > 100 else 0))
    for each in (clear, image.quantize(64)):
        assert_same(encoded(each, "PNG", PROFILES[profile]), "png", tmp_path)


@pytest.mark.parametrize("profile", ["none", "P3", "linear, called sRGB"])
def test_sixteen_bits_with_profiles(profile: str, tmp_path: Path) -> None:
    assert_same(deep_png(PIXELS, PROFILES[profile], alpha=False), "png", tmp_path)
    for order in "<>":
        for planar in (False, True):
            assert_same(deep_tiff(PIXELS, PROFILES[profile], order, planar), "tiff", tmp_path)


@pytest.mark.parametrize("profile", GRAY_PROFILES)
def test_sixteen_bit_gray_with_profiles(profile: str, tmp_path: Path) -> None:
    assert_same(deep_png(PIXELS[..., 1], GRAY_PROFILES[profile], alpha=False), "png", tmp_path)


@pytest.mark.parametrize("alpha", ["gray", "color"])
def test_sixteen_bit_alpha(alpha: str, tmp_path: Path) -> None:
    pixels = PIXELS[..., 1] if alpha == "gray" else PIXELS
    assert_same(deep_png(pixels, None, alpha=True), "png", tmp_path)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_transparent_levels_of_every_depth(depth: int, tmp_path: Path) -> None:
    highest = (1 << depth) - 1
    level = highest // 3 or 1
    packed = {1: b"\x00\xff", 2: b"\x55" * 2 + b"\xff" * 2, 4: b"\x55" * 4 + b"\x88" * 4}
    row = packed.get(depth) or level.to_bytes(depth // 8, "big") * 8 + b"\x21" * depth
    data = png_file(16, 16, depth, 0, [row] * 16, (b"tRNS", level.to_bytes(2, "big")))
    stored = np.asarray(Image.open(io.BytesIO(normalize(data).data)).convert("RGB"), int)
    expected = reference(data, "png", tmp_path)
    assert expected is not None
    assert np.abs(stored - expected)[4:12, [2, 3, 12, 13]].max() <= TOLERANCE


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_orientations(name: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_same(encoded(Image.fromarray(PIXELS), name, None, exif=exif), name.lower(), tmp_path)


@pytest.mark.parametrize("name", ["GIF", "BMP", "PPM", "ICO"])
def test_formats_without_profiles(name: str, tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS if name != "ICO" else PIXELS[:48, :48])
    data = encoded(image, name, None, **({"sizes": [(48, 48)]} if name == "ICO" else {}))
    assert_same(data, name.lower(), tmp_path)
