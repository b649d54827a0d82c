"""Hashes, golden images, and real and hostile files."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from derlem.catalog.models import Rejected
from derlem.catalog.status import Reason
from derlem.media.dhash import difference_hash
from derlem.media.image import normalize
from tests.factories.images import decode, encode, photo

GOLDEN = Path(__file__).parent / "golden"
IMAGE_REASONS = {
    Reason.EMPTY,
    Reason.NOT_IMAGE,
    Reason.UNSUPPORTED_FORMAT,
    Reason.CORRUPT,
    Reason.TRUNCATED,
    Reason.TOO_MANY_PIXELS,
    Reason.OUT_OF_MEMORY,
}


def distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


# --- the difference hash --------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    width=st.integers(40, 400),
    height=st.integers(40, 400),
    quality=st.integers(50, 95),
    subsampling=st.sampled_from([0, 1, 2]),
)
def test_copies_have_nearly_the_same_hash(
    seed: int, width: int, height: int, quality: int, subsampling: int
) -> None:
    source = photo(width, height, seed)
    original = normalize(encode(source, "PNG")).dhash
    copy = normalize(encode(source, "JPEG", quality=quality, subsampling=subsampling)).dhash
    assert distance(original, copy) <= 8
    assert distance(original, normalize(encode(source, "WEBP", quality=80)).dhash) <= 8


def test_different_images_have_different_hashes() -> None:
    hashes = [normalize(encode(photo(seed=seed), "JPEG")).dhash for seed in range(20)]
    assert min(distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) > 8


def test_a_flat_image_stays_flat() -> None:
    for level in range(0, 256, 17):
        assert normalize(encode(Image.new("RGB", (64, 64), (level,) * 3), "JPEG")).dhash == "0" * 16


def test_the_hash_of_known_images() -> None:
    assert difference_hash(Image.linear_gradient("L").rotate(90)) == "ffffffffffffffff"
    assert difference_hash(Image.linear_gradient("L").rotate(-90)) == "0" * 16
    assert difference_hash(Image.new("RGB", (1, 1))) == "0" * 16


# --- for ever -------------------------------------------------------------------------------------

PINNED = ("13.0.0", "3.2.0")


@pytest.mark.parametrize(
    ("name", "sha256", "dhash"),
    [
        (
            "battery_jean-victor_bali_01.png",
            "368ee8cb77ec2b76c17629e3d8ac99b845d61e5c1d9fe62738892a9e36fb8106",
            "0f0303030303070e",
        ),
        (
            "chesspieces-knight.png",
            "5987df6ba287967b2371b3c6f806dc471918e5b43282ba7b354fbc421dc6cb8d",
            "0e0f1f1f0f030303",
        ),
        ("cmyk.jpg", "582828019457877ae2cfbb8088f9ea673b2e632b93af8ac28c6baf57923528c4", "15185a5ac14d0d0c"),
        (
            "commented.jpg",
            "97a158911038bc2d6375bb56d7d55cf1fd335db567f4bcdb43b0d6c86a146a28",
            "15185a5ac14d0d0c",
        ),
        (
            "dog_head_nicu_buculei_02.png",
            "6f844bd09e2740fa28d97c333ccc200df625f9c51fd83ef521b91a2f9ce63d99",
            "15185a5ac14d0d0c",
        ),
        (
            "gray_progressive.jpg",
            "abf38bbdeffbbda1d5a9b5cf00c70ebb722fdc16fe23ec3158d929567403f81c",
            "15185a5ac14d0d0c",
        ),
        (
            "mouth_-_body_part_nicu_b_03.png",
            "cf8c0d45890d57cb852b3dc76d5ba681f2782a012a4fa6a56cf78a534ed879a1",
            "000000e0c0610f00",
        ),
        ("plain.jpg", "97a158911038bc2d6375bb56d7d55cf1fd335db567f4bcdb43b0d6c86a146a28", "15185a5ac14d0d0c"),
        (
            "turned.jpg",
            "2e038ceb1e4624787e6829929a9c2bf984eb4e49df0d25c6abf92abf2c876473",
            "0e0c2323326f1903",
        ),
    ],
)
def test_golden_images_never_change(name: str, sha256: str, dhash: str) -> None:
    image = normalize((GOLDEN / name).read_bytes())
    assert image.dhash == dhash
    if "encoding" in image.meta["image"].get("changed", []):
        version = (PIL.__version__, features.version("libjpeg_turbo"))
        if version != PINNED:
            pytest.skip(
                f"the encoder's bytes are those of Pillow and libjpeg-turbo {PINNED}, here are {version}"
            )
    assert image.sha256 == sha256


# --- real and hostile files -----------------------------------------------------------------------


def check(data: bytes) -> str:
    """Normalize; what comes out is sound and stays as it is. The reason, or ''."""
    try:
        image = normalize(data)
    except Rejected as error:
        assert error.reason in IMAGE_REASONS
        return str(error.reason)
    found = decode(image.data)
    assert found.format == "JPEG" and found.mode in ("L", "RGB")
    assert found.size == (image.width, image.height)
    assert normalize(image.data).data is image.data
    return ""


@pytest.mark.parametrize(
    ("name", "edits"),
    [("commented.jpg", {1112: 2}), ("gray_progressive.jpg", {225: 0, 334: 1})],
    ids=["reserved marker", "missing table"],
)
def test_damage_that_one_decoder_passes_over(name: str, edits: dict[int, int]) -> None:
    content = bytearray((GOLDEN / name).read_bytes())
    for at, value in edits.items():
        content[at] = value
    assert check(bytes(content)) == "corrupt"


@pytest.mark.parametrize("body", [b"JFIF\0\1", b"Adobe", b"ICC_PROFILE\0", b"ICC_PROFILE\0\1\1"])
def test_application_segments_that_are_cut_are_left_out(body: bytes) -> None:
    code = {b"J": 0xE0, b"A": 0xEE, b"I": 0xE2}[body[:1]]
    original = (GOLDEN / "commented.jpg").read_bytes()
    segment = bytes([0xFF, code]) + (len(body) + 2).to_bytes(2, "big") + body
    damaged = original[:2] + segment + original[2:]
    assert normalize(damaged).data == normalize(original).data


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_raises_anything_else(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(p.name for p in GOLDEN.iterdir() if p.suffix != ".md")))
    content = bytearray((GOLDEN / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    check(bytes(content))


@pytest.mark.parametrize("folder", ["openclipart", "stamps"])
def test_real_images(material: Callable[[str], Path], folder: str) -> None:
    paths = sorted(material(folder).rglob("*.png"))
    assert paths
    for path in random.Random(4).sample(paths, 150):
        assert check(path.read_bytes()) == "", path


def test_malformed_images(material: Callable[[str], Path]) -> None:
    paths = sorted(path for path in material("pillow").rglob("Tests/images/**/*") if path.is_file())
    assert len(paths) > 700
    reasons = [check(path.read_bytes()) for path in paths]
    assert reasons.count("") > 400
    assert {"corrupt", "truncated", "too_many_pixels", "unsupported_format", "not_image"} <= set(reasons)
