"""JPEGs keep their coded data; what is not the image goes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageCms, ImageOps

from derlem.catalog.models import Rejected
from derlem.catalog.status import Reason
from derlem.media import exif
from derlem.media.image import normalize
from tests.factories.images import decode, encode, photo

SOI = b"\xff\xd8"


def segment(code: int, body: bytes) -> bytes:
    return b"\xff" + bytes([code]) + struct.pack(">H", len(body) + 2) + body


def after_soi(data: bytes, *segments: bytes) -> bytes:
    """Put segments in front of the first one."""
    return SOI + b"".join(segments) + data[2:]


@pytest.fixture(scope="module")
def plain() -> bytes:
    return encode(photo(), "JPEG", quality=85)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"progressive": True},
        {"optimize": True},
        {"subsampling": 0},
        {"subsampling": 1},
        {"restart_marker_blocks": 3},
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_conforming_jpeg_keeps_its_bytes(settings: dict[str, Any], mode: str) -> None:
    data = encode(photo().convert(mode), "JPEG", **settings)
    image = normalize(data)
    assert image.data is data
    assert image.sha256 == image.original_sha256
    assert (image.width, image.height) == (160, 120)
    assert image.meta == {"image": {"media_type": "image/jpeg", "mode": mode}}


def test_an_rgb_coded_jpeg_keeps_its_bytes() -> None:
    data = encode(photo(), "JPEG", keep_rgb=True)
    assert normalize(data).data is data


def test_metadata_go_and_coded_data_stay(plain: bytes) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    exif[0x010E] = "where the author lives"
    thumbnail = encode(photo(32, 24), "JPEG")
    noisy = after_soi(
        plain,
        segment(0xE1, b"Exif\0\0" + exif.tobytes()[6:]),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"),
        segment(0xE2, b"MPF\0" + b"\0" * 40),
        segment(0xED, b"Photoshop 3.0\0" + thumbnail),  # holds an end marker of its own
        segment(0xFE, b"a comment with \xff\xd9 in it"),
    )
    image = normalize(noisy + b"whatever follows" + thumbnail)
    assert image.data == plain
    assert image.meta["image"]["changed"] == ["metadata"]
    assert image.sha256 != image.original_sha256


def test_a_second_image_behind_the_first_goes(plain: bytes) -> None:
    assert normalize(plain + encode(photo(seed=2), "JPEG")).data == plain


def test_comments_between_scans_go() -> None:
    data = encode(photo(), "JPEG", progressive=True)
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    at = data.rindex(b"\xff\xc4", 0, second)  # the table in front of the second scan
    assert normalize(data[:at] + segment(0xFE, b"between") + data[at:]).data == data


def test_profile_and_color_marker_stay() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encode(photo(), "JPEG", icc_profile=profile, keep_rgb=True)
    image = normalize(data)
    assert image.data is data
    assert b"ICC_PROFILE" in image.data


def test_a_jfif_thumbnail_goes(plain: bytes) -> None:
    assert plain[2:4] == b"\xff\xe0"
    body = plain[6:18] + b"\x02\x02" + bytes(12)
    with_thumbnail = SOI + segment(0xE0, body) + plain[20:]
    assert normalize(with_thumbnail).data == plain


def test_fill_bytes_and_rubbish_between_segments_go(plain: bytes) -> None:
    assert normalize(SOI + b"\xff\xff" + plain[2:]).data == plain
    assert normalize(plain[:20] + b"\0\1\2" + plain[20:]).data == plain


def test_a_marker_that_means_nothing_goes(plain: bytes) -> None:
    tem = b"\xff\x01"  # T.81, table B.1
    assert normalize(plain[:20] + tem + plain[20:]).data == plain
    assert normalize(SOI + tem + tem + plain[2:]).data == plain


@pytest.mark.parametrize("orientation", range(2, 9))
def test_orientation_is_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photo(), "JPEG", exif=exif)
    image = normalize(data)
    expected = ImageOps.exif_transpose(decode(data))
    found = decode(image.data)
    assert found.size == expected.size == (image.width, image.height)
    assert not found.getexif()
    # Quality 95: no channel off by more than a few levels.
    assert np.asarray(ImageChops.difference(found, expected)).max() < 24
    assert image.meta["image"]["changed"] == ["metadata", "orientation", "encoding"]


@pytest.mark.parametrize(
    "tiff",
    [
        b"",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x09\0\0\0",
        b"XX*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x06\0\0\0",
    ],
)
def test_damaged_exif_costs_nothing(plain: bytes, tiff: bytes) -> None:
    assert exif.orientation(tiff) == 1
    assert normalize(after_soi(plain, segment(0xE1, b"Exif\0\0" + tiff))).data == plain


def test_exif_of_both_byte_orders() -> None:
    assert exif.orientation(b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0") == 6
    assert exif.orientation(b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0") == 6


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["1B", "3H", "4I", "6b", "8h", "9i"])
@pytest.mark.parametrize("value", [3, 8])
def test_orientation_in_every_integer_type(order: str, kind: str, value: int) -> None:
    head = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHI", 0x0112, int(kind[0]), 1)
    entry += struct.pack(f"{order}{kind[1]}", value).ljust(4, b"\0")
    assert exif.orientation(head + struct.pack(f"{order}IH", 8, 1) + entry) == value


def test_cmyk_becomes_rgb() -> None:
    image = normalize(encode(photo().convert("CMYK"), "JPEG"))
    assert decode(image.data).mode == "RGB"
    assert image.meta["image"] == {
        "media_type": "image/jpeg",
        "mode": "CMYK",
        "changed": ["color", "encoding"],
    }


@pytest.mark.parametrize("settings", [{}, {"progressive": True}, {"restart_marker_blocks": 5}])
def test_no_truncation_passes(settings: dict[str, Any]) -> None:
    data = encode(photo(64, 48), "JPEG", **settings)
    for length in range(1, len(data), 7):
        with pytest.raises(Rejected) as caught:
            normalize(data[:length])
        assert caught.value.reason in (Reason.TRUNCATED, Reason.NOT_IMAGE, Reason.CORRUPT)
    for length in range(len(data) - 40, len(data)):
        with pytest.raises(Rejected) as caught:
            normalize(data[:length])
        assert caught.value.reason is Reason.TRUNCATED


@pytest.mark.parametrize("code", [0x02, 0xBF, 0xC8, 0xDE, 0xDF, 0xF0, 0xFD])
@pytest.mark.parametrize("place", ["header", "coded data"])
def test_reserved_markers_are_damage(plain: bytes, code: int, place: str) -> None:
    """libjpeg gives up at them; a decoder that has the pixels it wants by then does not meet them."""
    marker = segment(code, b"\0" * 4)
    damaged = after_soi(plain, marker) if place == "header" else plain[:-40] + marker + plain[-40:]
    with pytest.raises(Rejected) as caught:
        normalize(damaged)
    assert caught.value.reason is Reason.CORRUPT


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: SOI + data, Reason.CORRUPT),  # starts twice
        (lambda data: SOI + segment(0xFE, b"nothing else") + b"\xff\xd9", Reason.CORRUPT),
        (lambda data: data[: data.index(b"\xff\xda") + 14] + b"\xff\xd9", Reason.TRUNCATED),
        (lambda data: data.replace(b"\xff\xc0\0\x11\x08\0\x78", b"\xff\xc0\0\x11\x08\0\0"), Reason.CORRUPT),
        (
            lambda data: data.replace(
                b"\xff\xc0\0\x11\x08\0\x78\0\xa0", b"\xff\xc0\0\x11\x08\xff\xff\xff\xff"
            ),
            Reason.TOO_MANY_PIXELS,
        ),
        (lambda data: data.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), Reason.UNSUPPORTED_FORMAT),
        (lambda data: data.replace(b"\xff\xdb", b"\xff\xfe"), Reason.CORRUPT),  # no quantisation tables
    ],
)
def test_damage_has_a_reason(plain: bytes, damage: Callable[[bytes], bytes], reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        normalize(damage(plain))
    assert caught.value.reason is reason
