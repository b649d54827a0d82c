"""One color rule for every format: a profile that differs from sRGB is applied, whatever it is called."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from derlem.catalog.models import Rejected
from derlem.catalog.status import Reason
from derlem.media import color, icc
from derlem.media.image import normalize
from derlem.media.image_options import ImageOptions
from tests.factories.image_files import PRIMARIES, icc_profile, png_file
from tests.factories.images import decode, encode, pixel

COLOR = (55, 13, 128)
LINEAR_AS_SRGB = (128, 64, 187)
"""The same numbers, as linear light, by IEC 61966-2-1."""


def flat(level: tuple[int, ...] = COLOR) -> Image.Image:
    return Image.fromarray(np.full((32, 32, 3), level, np.uint8))


def stored(data: bytes, **options: Any) -> tuple[int, ...]:
    image = Image.open(io.BytesIO(normalize(data, ImageOptions(**options)).data))
    return pixel(image.convert("RGB"), 16, 16)


def near(found: tuple[int, ...], expected: tuple[int, ...], levels: int = 6) -> bool:
    return max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= levels


def rows(*levels: int) -> list[bytes]:
    return [bytes(levels) * 32] * 32


CONTAINERS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
}


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("description", ["GIMP built-in Linear sRGB", "sRGB-elle-V2-g10.icc", "anything"])
def test_a_profile_is_judged_by_its_content(name: str, description: str) -> None:
    profile = icc_profile(1, "srgb", description)
    assert near(stored(encode(flat(), name, icc_profile=profile, **CONTAINERS[name])), LINEAR_AS_SRGB)


@pytest.mark.parametrize("primaries", PRIMARIES)
def test_containers_agree(primaries: str) -> None:
    profile = icc_profile(2.2, primaries, pad=1_300_000)  # more than Pillow reads from a PNG
    source = flat((120, 140, 90))
    found = {
        name: stored(encode(source, name, icc_profile=profile, **CONTAINERS[name])) for name in CONTAINERS
    }
    assert all(near(each, found["PNG"]) for each in found.values()), found


def test_an_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encode(flat(), "JPEG", icc_profile=profile)
    assert normalize(data).data is data
    assert icc.load(profile).is_srgb and not icc.load(icc_profile(1, "srgb")).is_srgb


def test_a_wide_gamut_jpeg_is_converted() -> None:
    data = encode(flat(), "JPEG", icc_profile=icc_profile(2.2, "p3"), quality=95)
    image = normalize(data)
    assert image.meta["image"]["changed"] == ["color", "encoding"]
    assert b"ICC_PROFILE" not in image.data


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("output", ["jpeg", "png", "webp"])
def test_color_can_be_kept_in_every_format(name: str, output: str) -> None:
    profile = icc_profile(2.2, "p3")
    data = encode(flat(), name, icc_profile=profile, **CONTAINERS[name])
    found = decode(normalize(data, ImageOptions.model_validate({"color": "keep", "format": output})).data)
    assert found.info["icc_profile"] == profile
    assert near(pixel(found.convert("RGB"), 16, 16), COLOR)


def test_gray_with_a_kept_profile_stays_gray() -> None:
    profile = icc_profile(1, None)
    for source in (Image.new("L", (16, 16), 55), Image.new("LA", (16, 16), (55, 255))):
        found = decode(normalize(encode(source, "PNG", icc_profile=profile), ImageOptions(color="keep")).data)
        assert (found.mode, found.info["icc_profile"]) == ("L", profile)


def test_gray_profiles_are_applied() -> None:
    for name in ("JPEG", "PNG", "TIFF"):
        data = encode(Image.new("L", (32, 32), 55), name, icc_profile=icc_profile(1, None))
        assert near(stored(data), (128, 128, 128))
        assert Image.open(io.BytesIO(normalize(data).data)).mode == "L"


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("profile", [b"no profile", icc_profile(1, None), icc_profile(1, "srgb")[:300]])
def test_an_unusable_profile_is_dropped(name: str, profile: bytes) -> None:
    data = encode(flat(), name, icc_profile=profile, **CONTAINERS[name])
    image = normalize(data)
    assert image.meta["image"]["changed"][0] == "profile"
    assert b"ICC_PROFILE" not in image.data
    assert near(stored(data), COLOR)


def test_low_bytes_count_where_a_profile_stretches_them() -> None:
    """Of linear light in 16 bits, the darkest 8-bit level alone spans 13 levels of sRGB."""
    profile = (b"iCCP", b"x\0\0" + zlib.compress(icc_profile(1, "srgb")))
    for word, level in ((0x0040, 3), (0x0101, 13), (0x0180, 18), (0x8000, 188)):
        row = struct.pack(">3H", word, word, word) * 32
        assert near(stored(png_file(32, 32, 16, 2, [row] * 32, profile)), (level,) * 3, 2)


# --- what PNG and AVIF give in numbers ------------------------------------------------------------


def gama(exponent: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(exponent * 100_000))


def chrm(*points: float) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(point * 100_000) for point in points))


SRGB_POINTS = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([gama(1)], LINEAR_AS_SRGB),
        ([gama(1), chrm(*SRGB_POINTS)], LINEAR_AS_SRGB),
        ([gama(0.45455)], COLOR),
        ([gama(0.45455), chrm(*SRGB_POINTS)], COLOR),
        ([gama(1 / 1.8)], (72, 16, 146)),
        ([gama(1), (b"sRGB", b"\0")], COLOR),
        ([gama(1), (b"cICP", bytes([1, 13, 0, 1]))], COLOR),
        ([gama(0.45455), (b"cICP", bytes([1, 8, 0, 1]))], LINEAR_AS_SRGB),
        ([gama(0)], COLOR),
        ([gama(1), chrm(*[0.0] * 8)], COLOR),
    ],
)
def test_gamma_and_code_points_of_a_png(chunks: list[tuple[bytes, bytes]], expected: tuple[int, ...]) -> None:
    assert near(stored(png_file(32, 32, 8, 2, rows(*COLOR), *chunks)), expected)


def test_chromaticities_are_those_of_the_profile() -> None:
    points = (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)  # Display P3
    level = (200, 90, 60)
    by_chunks = stored(png_file(32, 32, 8, 2, rows(*level), gama(0.45455), chrm(*points)))
    by_code = stored(png_file(32, 32, 8, 2, rows(*level), (b"cICP", bytes([12, 13, 0, 1]))))
    by_profile = stored(encode(flat(level), "PNG", icc_profile=icc_profile(2.2, "p3")))
    assert near(by_chunks, by_code, 1) and near(by_chunks, by_profile)
    assert not near(by_chunks, level)


def test_gamma_of_gray() -> None:
    data = png_file(32, 32, 8, 0, rows(55), gama(1))
    assert near(stored(data), (128, 128, 128))
    assert decode(normalize(data).data).mode == "L"


@pytest.mark.parametrize("transfer", [16, 18])
def test_high_dynamic_range_is_refused(transfer: int) -> None:
    with pytest.raises(Rejected) as caught:
        normalize(png_file(32, 32, 8, 2, rows(*COLOR), (b"cICP", bytes([9, transfer, 0, 1]))))
    assert caught.value.reason is Reason.UNSUPPORTED_FORMAT


def test_profiles_in_boxes_and_extensions() -> None:
    profile = icc_profile(1, "srgb")
    jp2 = (
        b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I", 11 + len(profile)) + b"colr\2\0\0" + profile + b"jp2c"
    )
    assert color.in_container(jp2, "image/jp2", "RGB") == profile
    parts = [profile[at : at + 255] for at in range(0, len(profile), 255)]
    blocks = b"".join(bytes([len(part)]) + part for part in parts)
    gif = b"GIF89a" + b"\x21\xff\x0bICCRGBG1012" + blocks + b"\0"
    assert color.in_container(gif, "image/gif", "RGB") == profile
    bmp = bytearray(14 + 124) + profile
    bmp[14:18], bmp[70:74] = b"\x7c\0\0\0", b"DEBM"
    bmp[126:134] = struct.pack("<II", 124, len(profile))
    assert color.in_container(bytes(bmp), "image/bmp", "RGB") == profile
    avif = b"\0\0\0\x13colrnclx\0\x0c\0\x0d\0\0\x80"
    assert color.in_container(avif, "image/avif", "RGB") == color.from_code_points(12, 13, gray=False)
