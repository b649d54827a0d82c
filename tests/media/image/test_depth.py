"""Samples of every depth, sign, order and layout; files that hold less than they declare."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from derlem.catalog.models import Rejected
from derlem.catalog.status import Reason
from derlem.media.image import normalize
from derlem.media.image_options import ImageOptions, Resize
from tests.factories.image_files import png_chunk, png_file, tiff_file
from tests.factories.images import decode, encode, photo, pixel

Array = np.ndarray[Any, Any]
Order = Literal["<", ">"]
RAMP = np.tile(np.linspace(0, 1, 64), (16, 1))


def corners(data: bytes) -> tuple[int, int]:
    """Levels of the upper corners, left and right."""
    image = Image.open(io.BytesIO(normalize(data).data)).convert("L")
    return pixel(image, 0, 0)[0], pixel(image, image.width - 1, 0)[0]


def gray_tiff(values: Array, photometric: int = 1, kind: int = 1, order: Order = "<", **more: Any) -> bytes:
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    tags = {
        256: ("I", (values.shape[1],)),
        257: ("I", (values.shape[0],)),
        258: ("H", (values.dtype.itemsize * 8,)),
        259: ("H", (1,)),
        262: ("H", (photometric,)),
        277: ("H", (1,)),
        278: ("I", (values.shape[0],)),
        339: ("H", (kind,)),
        **more.pop("tags", {}),
    }
    return tiff_file(order, tags, [more.pop("coded", data)])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("values", "photometric", "kind", "expected"),
    [
        ((RAMP * 65535).astype("u2"), 1, 1, (0, 255)),
        ((RAMP * 65535).astype("u2"), 0, 1, (255, 0)),
        ((RAMP * 255).astype("u1"), 0, 1, (255, 0)),
        ((RAMP * 255 - 128).astype("i1"), 1, 2, (0, 255)),
        ((RAMP * 3000 - 1000).astype("i2"), 1, 2, (0, 255)),
        ((RAMP * 255).astype("u4"), 1, 1, (0, 255)),
        (RAMP.astype("f2"), 1, 3, (0, 255)),
        (RAMP.astype("f4"), 0, 3, (255, 0)),
        ((RAMP * 900 - 50).astype("f8"), 1, 3, (0, 255)),
        (np.full((16, 64), 0.5, "f4"), 1, 3, (128, 128)),
        (np.where(RAMP == 0, np.inf, RAMP).astype("f4"), 1, 3, (255, 255)),
        (np.where(RAMP == 0, np.nan, RAMP).astype("f4"), 1, 3, (0, 255)),
    ],
)
def test_samples_of_a_tiff(
    values: Array, photometric: int, kind: int, order: Order, expected: tuple[int, int]
) -> None:
    found = corners(gray_tiff(values, photometric, kind, order))
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= 1


def test_sixteen_bits_have_a_scale_of_their_own() -> None:
    """As every decoder shows them; they are not stretched."""
    assert corners(gray_tiff((RAMP * 4095).astype("u2"))) == (0, 15)


@pytest.mark.parametrize("order", ["<", ">"])
def test_predictors(order: Order) -> None:
    levels = (RAMP * 65535).astype("u2")
    deltas = np.diff(levels, axis=1, prepend=np.uint16(0)).astype(f"{order}u2")
    coded = zlib.compress(deltas.tobytes())
    data = gray_tiff(levels, order=order, coded=coded, tags={259: ("H", (8,)), 317: ("H", (2,))})
    assert corners(data) == (0, 255)
    floats = RAMP.astype(">f4").view("u1").reshape(16, 64, 4).swapaxes(1, 2).reshape(16, 256)
    coded = zlib.compress(np.diff(floats, axis=1, prepend=np.uint8(0)).tobytes())
    data = gray_tiff(
        RAMP.astype("f4"), kind=3, order=order, coded=coded, tags={259: ("H", (8,)), 317: ("H", (3,))}
    )
    assert corners(data) == (0, 255)


def test_premultiplied_levels_are_divided() -> None:
    pair = np.stack([np.full((16, 16), 0x4000), np.full((16, 16), 0x8000)], -1).astype("<u2")
    tags = {258: ("H", (16, 16)), 277: ("H", (2,)), 338: ("H", (1,)), 256: ("I", (16,))}
    left, _ = corners(gray_tiff(pair[..., 0], coded=pair.tobytes(), tags=tags))
    assert abs(left - 191) <= 2  # half of mid-gray, half of white


def test_twelve_bits_and_reversed_bits() -> None:
    levels = (RAMP * 4095).astype(np.uint16)
    pairs = levels.reshape(16, 32, 2)
    coded = np.stack(
        [pairs[..., 0] >> 4, (pairs[..., 0] & 15) << 4 | pairs[..., 1] >> 8, pairs[..., 1] & 255], -1
    )
    data = gray_tiff(levels, coded=coded.astype(np.uint8).tobytes(), tags={258: ("H", (12,))})
    assert corners(data) == (0, 255)
    turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in (RAMP * 65535).astype("<u2").tobytes())
    data = gray_tiff((RAMP * 65535).astype("u2"), coded=turned, tags={266: ("H", (2,))})
    assert corners(data) == (0, 255)


@pytest.mark.parametrize("keyword", [b"Raw profile type exif", b"Raw profile type APP1"])
@pytest.mark.parametrize("packed", [True, False])
def test_orientation_in_a_text_chunk(keyword: bytes, packed: bool) -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"
    text = b"\nexif\n%8d\n%s\n" % (len(exif), exif.hex().encode())
    chunk = (
        (b"zTXt", keyword + b"\0\0" + zlib.compress(text)) if packed else (b"tEXt", keyword + b"\0" + text)
    )
    image = normalize(png_file(20, 10, 8, 0, [bytes(20)] * 10, chunk))
    assert (image.width, image.height) == (10, 20)


def test_layouts_that_are_not_read_say_so() -> None:
    tags = {258: ("H", (16, 16, 16)), 277: ("H", (3,)), 262: ("H", (8,))}
    with pytest.raises(Rejected) as caught:
        normalize(gray_tiff((RAMP * 65535).astype("u2"), tags=tags))
    assert caught.value.reason is Reason.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("name", ["TIFF", "GIF", "WEBP", "PNG"])
def test_images_of_several_frames_leave_a_trace(name: str) -> None:
    frames = [Image.new("L", (40, 40), level) for level in (10, 100, 200)]
    data = encode(frames[0], name, save_all=True, append_images=frames[1:])
    assert normalize(data).meta["image"]["frames"] == 3
    assert "frames" not in normalize(encode(frames[0], name)).meta["image"]


@pytest.mark.parametrize(
    ("color_type", "depth"), [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (6, 8), (6, 16)]
)
def test_a_png_with_too_few_rows_is_truncated(color_type: int, depth: int) -> None:
    size = -(-24 * depth * {0: 1, 2: 3, 6: 4}[color_type] // 8)
    for level in (b"\0", b"\x99"):
        normalize(png_file(24, 24, depth, color_type, [level * size] * 24))
        for count in (1, 12, 23):
            with pytest.raises(Rejected) as caught:
                normalize(png_file(24, 24, depth, color_type, [level * size] * count))
            assert caught.value.reason is Reason.TRUNCATED


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (9, 6), (24, 25)])
def test_an_interlaced_png_with_too_few_rows_is_truncated(size: tuple[int, int]) -> None:
    width, height = size
    passes = (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    )
    rows = [
        b"\0" + b"\x77" * -(-(width - left) // across)
        for left, top, across, down in passes
        if width > left
        for _ in range(top, height, down)
    ]
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    for count in (len(rows), len(rows) - 1):
        body = zlib.compress(b"".join(rows[:count]))
        chunks = [png_chunk(b"IHDR", head), png_chunk(b"IDAT", body), png_chunk(b"IEND", b"")]
        data = b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
        if count == len(rows):
            assert normalize(data).height == height
            continue
        with pytest.raises(Rejected) as caught:
            normalize(data)
        assert caught.value.reason is Reason.TRUNCATED


# --- JPEGs whose coded data end early, or are out of step ---------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"progressive": True}])
@pytest.mark.parametrize("orientation", [1, 3])
def test_a_jpeg_that_is_cut_and_closed_is_damaged(settings: dict[str, Any], orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photo(), "JPEG", quality=90, exif=exif, **settings)
    for share in (0.4, 0.6, 0.8):
        with pytest.raises(Rejected) as caught:
            normalize(data[: int(len(data) * share)] + b"\xff\xd9")
        assert caught.value.reason in (Reason.TRUNCATED, Reason.CORRUPT)


def test_a_jpeg_whose_data_are_overwritten_is_corrupt() -> None:
    data = bytearray(encode(photo(), "JPEG", quality=90))
    half = len(data) // 2
    data[half : half + 400] = bytes(400)
    with pytest.raises(Rejected) as caught:
        normalize(bytes(data))
    assert caught.value.reason in (Reason.TRUNCATED, Reason.CORRUPT)


def test_padding_in_front_of_the_end_marker_is_no_damage() -> None:
    data = encode(photo(), "JPEG")
    padded = data[:-2] + bytes(500) + data[-2:]
    assert normalize(padded).data == padded


def test_a_progressive_jpeg_without_its_last_scans_is_truncated() -> None:
    data = encode(photo(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    with pytest.raises(Rejected) as caught:
        normalize(data[: data.rindex(b"\xff\xc4", 0, last)] + b"\xff\xd9")
    assert caught.value.reason is Reason.TRUNCATED


# --- scaling --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resize", "size"),
    [
        ({"longer": 80}, (80, 60)),
        ({"shorter": 60}, (80, 60)),
        ({"area": 4800}, (80, 60)),
        ({"area": 5000}, (81, 61)),
        ({"longer": 160}, (160, 120)),
        ({"longer": 4000}, (160, 120)),
        ({"shorter": 1}, (1, 1)),
    ],
)
@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_larger_images_are_scaled_down(name: str, resize: dict[str, int], size: tuple[int, int]) -> None:
    image = normalize(encode(photo(160, 120), name), ImageOptions(resize=Resize.model_validate(resize)))
    assert (image.width, image.height) == decode(image.data).size == size
    assert ("size" in image.meta["image"].get("changed", [])) == (size != (160, 120))


def test_a_jpeg_that_is_small_enough_keeps_its_bytes() -> None:
    data = encode(photo(160, 120), "JPEG")
    assert normalize(data, ImageOptions(resize=Resize(longer=160))).data is data


def test_scaling_follows_orientation_and_limits_precede_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(photo(160, 80), "JPEG", exif=exif)
    image = normalize(data, ImageOptions(resize=Resize(longer=40), min_side=80))
    assert (image.width, image.height) == (20, 40)
    with pytest.raises(Rejected) as caught:
        normalize(data, ImageOptions(resize=Resize(longer=40), max_side=100))
    assert caught.value.reason is Reason.TOO_LARGE


def test_fine_detail_does_not_alias() -> None:
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (100, 50)))
    found = decode(normalize(encode(stripes, "PNG"), ImageOptions(resize=Resize(longer=25))).data)
    low, high = np.asarray(found).min(), np.asarray(found).max()
    assert 110 < low <= high < 145


@pytest.mark.parametrize("resize", [{}, {"longer": 1, "shorter": 1}, {"longer": 0}, {"width": 5}])
def test_one_measure_is_given(resize: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        Resize.model_validate(resize)
