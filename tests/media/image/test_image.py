"""Whatever the format, what comes out is one form; what cannot has a reason."""

from __future__ import annotations

import hashlib
import itertools
import struct
import subprocess
import sys
import warnings
import zlib
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageFile
from pydantic import ValidationError

from derlem.catalog.models import Rejected
from derlem.catalog.status import Reason
from derlem.media import decoding
from derlem.media.image import normalize
from derlem.media.image_options import ImageOptions
from tests.factories.images import decode, encode, photo, pixel

FORMATS = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "GIF": ("1", "L", "P", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "I;16", "I", "F"),
    "BMP": ("1", "L", "P", "RGB"),
    "ICO": ("RGBA",),
    "JPEG2000": ("L", "LA", "RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
    "PPM": ("1", "L", "RGB", "I"),
}
GRAY = ("1", "L")


def distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


@pytest.mark.parametrize(
    ("name", "mode"), [(name, mode) for name, modes in FORMATS.items() for mode in modes]
)
def test_every_format_and_mode_becomes_gray_or_rgb(name: str, mode: str) -> None:
    source = photo(64, 48)
    if mode == "LAB":
        source_image = ImageCms.profileToProfile(
            source, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
        assert source_image is not None
    elif mode == "I;16":
        source_image = source.convert("L").convert("I").point(lambda value: value * 257).convert("I;16")
    else:
        source_image = source.convert(mode)
    data = encode(source_image, name)
    image = normalize(data)
    found = decode(image.data)
    assert found.format == "JPEG"
    assert found.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert found.size == (image.width, image.height)
    if name != "ICO":  # holds several sizes of its own
        assert found.size == (64, 48)
    stored = decode(data).mode
    assert found.mode == ("L" if stored in GRAY else "RGB")
    assert image.sha256 == hashlib.sha256(image.data).hexdigest()
    assert image.original_sha256 == hashlib.sha256(data).hexdigest()
    assert image.meta["image"]["mode"] == stored
    if stored not in GRAY and name != "ICO" and mode not in ("F", "I"):
        assert distance(image.dhash, normalize(encode(source, "PNG")).dhash) <= 6


def test_normalising_again_changes_nothing() -> None:
    once = normalize(encode(photo(), "PNG"))
    again = normalize(once.data)
    assert again.data is once.data
    assert distance(again.dhash, once.dhash) <= 2


def test_transparent_pixels_lie_over_white() -> None:
    for mode, clear in (("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))):
        found = decode(normalize(encode(Image.new(mode, (16, 16), clear), "PNG")).data)
        assert found.mode == "RGB"
        assert found.getpixel((8, 8)) == (255, 255, 255)


def test_half_transparent_black_is_gray() -> None:
    found = decode(normalize(encode(Image.new("LA", (16, 16), (0, 128)), "PNG")).data)
    assert found.getpixel((8, 8)) == (127, 127, 127)


@pytest.mark.parametrize("name", ["PNG", "GIF"])
def test_a_transparent_palette_entry_lies_over_white(name: str) -> None:
    source = Image.new("P", (16, 16), 1)
    source.putpalette([255, 0, 0, 0, 0, 255])
    source.paste(0, (0, 0, 8, 16))
    found = decode(
        normalize(
            encode(source, name, transparency=1),
        ).data
    )
    red, white = pixel(found, 2, 8), pixel(found, 13, 8)
    assert red[0] > 250 and max(red[1:]) < 5
    assert min(white) > 250


def test_gray_png_with_a_transparent_level() -> None:
    for mode, level in (("L", 7), ("I;16", 7 * 257)):
        data = encode(Image.new(mode, (16, 16), level), "PNG", transparency=level)
        assert decode(normalize(data).data).getpixel((8, 8)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    found = decode(normalize(encode(Image.new("I;16", (16, 16), 0x8000), "PNG")).data)
    assert found.mode == "RGB"
    assert found.getpixel((8, 8)) == (128, 128, 128)


def test_floating_point_is_stretched() -> None:
    source = Image.linear_gradient("L").convert("F").point(lambda value: value * 1000 - 5)
    found = decode(normalize(encode(source, "TIFF")).data)
    assert found.getextrema()[0] == (0, 255)


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_the_first_frame_is_kept(name: str) -> None:
    frames = [Image.new("RGB", (32, 32), color) for color in ("red", "blue")]
    found = decode(normalize(encode(frames[0], name, save_all=True, append_images=frames[1:])).data)
    red, green, blue = pixel(found, 16, 16)
    assert red > 240 and green < 15 and blue < 15


@pytest.mark.parametrize("name", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_of_other_formats_is_applied(name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = photo(64, 48)
    image = normalize(encode(source, name, exif=exif))
    assert (image.width, image.height) == (48, 64)
    upright = normalize(encode(source.transpose(Image.Transpose.ROTATE_270), "PNG"))
    assert distance(image.dhash, upright.dhash) <= 4


def test_a_wide_gamut_is_brought_to_srgb() -> None:
    lab = ImageCms.createProfile("LAB")
    source = Image.new("LAB", (16, 16), (128, 180, 128))
    profile = ImageCms.ImageCmsProfile(lab).tobytes()
    assert profile  # a profile of another color space than the pixels' is unusable, and reported
    data = encode(source.convert("RGB"), "PNG", icc_profile=profile)
    assert "profile" in normalize(data).meta["image"]["changed"]
    assert not decode(normalize(data).data).info.get("icc_profile")


def test_damaged_profiles_cost_nothing() -> None:
    image = normalize(encode(photo(), "PNG", icc_profile=b"not a profile"))
    assert image.meta["image"]["changed"] == ["profile", "encoding"]
    assert "icc_profile" not in decode(image.data).info


def test_nothing_but_pixels_is_written() -> None:
    exif = Image.Exif()
    exif[0x010E] = "where the author lives"
    for name, written in (("jpeg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")):
        for data in (
            encode(photo(), "JPEG", exif=exif, comment=b"author"),
            encode(photo(), "WEBP", exif=exif, xmp=b"author"),
            encode(photo(), "GIF", comment=b"author"),
        ):
            image = normalize(data, ImageOptions.model_validate({"format": name}))
            assert b"author" not in image.data
            assert decode(image.data).format == written
            assert image.media_type == f"image/{name}"
            assert image.extension == {"jpeg": "jpg"}.get(name, name)


def test_png_text_chunks_do_not_cost_the_image() -> None:
    plain = encode(photo(), "PNG")
    bomb = zlib.compress(bytes(80_000_000))
    body = b"zTXtComment\0\0" + bomb
    chunk = (len(body) - 4).to_bytes(4, "big") + body + b"\0\0\0\0"  # the checksum is wrong, too
    assert normalize(plain[:33] + chunk + plain[33:]).sha256 == normalize(plain).sha256


def test_what_follows_the_end_of_a_png_goes() -> None:
    plain = encode(photo(), "PNG")
    assert normalize(plain + b"more").sha256 == normalize(plain).sha256


def test_no_truncated_png_passes() -> None:
    data = encode(photo(40, 30), "PNG")
    for length in [*range(1, len(data), 11), *range(len(data) - 30, len(data))]:
        with pytest.raises(Rejected) as caught:
            normalize(data[:length])
        assert caught.value.reason in (Reason.TRUNCATED, Reason.NOT_IMAGE)


def test_a_flipped_bit_in_a_png_is_seen() -> None:
    data = bytearray(encode(photo(40, 30), "PNG"))
    data[len(data) // 2] ^= 1
    with pytest.raises(Rejected) as caught:
        normalize(bytes(data))
    assert caught.value.reason is Reason.CORRUPT


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"hello, this is text", Reason.NOT_IMAGE),
        (b"\0" * 5000, Reason.NOT_IMAGE),
        (b"%PDF-1.4\n", Reason.NOT_IMAGE),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", Reason.NOT_IMAGE),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Reason.UNSUPPORTED_FORMAT),
        (b"\0\0\0\x18ftypheic\0\0\0\0heicmif1", Reason.UNSUPPORTED_FORMAT),
        (b"P7\nWIDTH 1\n", Reason.UNSUPPORTED_FORMAT),
        (b"qoif\0\0\0\1\0\0\0\1\3\0", Reason.UNSUPPORTED_FORMAT),
        (b"P6 4 4 255\n" + bytes(40), Reason.TRUNCATED),
        (b"P3 2 2 255\n1 2 3 4 5 6", Reason.TRUNCATED),
        (b"P5 4 4 0\n" + bytes(16), Reason.CORRUPT),
        (b"GIF89a", Reason.CORRUPT),
        (b"RIFF\0\0\0\0WEBPVP8 ", Reason.CORRUPT),
    ],
)
def test_what_is_no_image_says_so(data: bytes, reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        normalize(data)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("options", "size", "reason"),
    [
        ({"min_side": 50}, (100, 49), Reason.TOO_SMALL),
        ({"max_side": 99}, (100, 50), Reason.TOO_LARGE),
        ({"max_aspect": 2}, (101, 50), Reason.ASPECT),
        ({"max_aspect": 2}, (50, 101), Reason.ASPECT),
        ({"max_bytes": 600}, (100, 50), Reason.TOO_MANY_BYTES),
        ({"max_pixels": 4999}, (100, 50), Reason.TOO_MANY_PIXELS),
    ],
)
@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_limits(options: dict[str, Any], size: tuple[int, int], reason: Reason, name: str) -> None:
    with pytest.raises(Rejected) as caught:
        normalize(encode(photo(*size), name), ImageOptions(**options))
    assert caught.value.reason is reason


def test_limits_themselves_are_allowed() -> None:
    options = ImageOptions(min_side=50, max_side=100, max_aspect=2, max_pixels=5000)
    for name in ("JPEG", "PNG"):
        normalize(encode(photo(100, 50), name), options)


def test_sides_are_measured_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = normalize(encode(photo(100, 50), "JPEG", exif=exif), ImageOptions(max_aspect=2))
    assert (image.width, image.height) == (50, 100)


def test_a_side_that_the_format_cannot_hold() -> None:
    data = encode(Image.new("L", (70_000, 2)), "PNG")
    with pytest.raises(Rejected) as caught:
        normalize(data)
    assert caught.value.reason is Reason.TOO_LARGE
    assert normalize(data, ImageOptions(format="png")).width == 70_000


def test_pixel_bombs_are_not_decoded() -> None:
    """The header is asked first: nothing of the size of the image is ever allocated."""
    script = (
        "import sys, resource\n"
        "from derlem.media.image import normalize\n"
        "from derlem.catalog.models import Rejected\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    normalize(sys.stdin.buffer.read())\n"
        "except Rejected as error:\n"
        "    print(error.reason, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    bomb = encode(Image.new("1", (30_000, 30_000)), "PNG")
    result = subprocess.run([sys.executable, "-c", script], input=bomb, capture_output=True, check=True)
    reason, kilobytes = result.stdout.split()
    assert reason == b"too_many_pixels"
    assert int(kilobytes) < 20_000


def test_out_of_memory_is_a_reason_and_the_process_lives_on() -> None:
    script = (
        "import sys, resource, io\n"
        "from PIL import Image\n"
        "from derlem.media.image import normalize\n"
        "from derlem.catalog.models import Rejected\n"
        "data = sys.stdin.buffer.read()\n"
        "small = io.BytesIO(); Image.new('RGB', (9, 9)).save(small, 'PNG')\n"
        "normalize(small.getvalue())\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size + 100_000_000,) * 2)\n"
        "try:\n"
        "    normalize(data)\n"
        "except Rejected as error:\n"
        "    print(error.reason)\n"
        "print(normalize(small.getvalue()).width)\n"
    )
    large = encode(Image.new("RGB", (12_000, 12_000)), "PNG", compress_level=1)
    result = subprocess.run([sys.executable, "-c", script], input=large, capture_output=True, check=True)
    assert result.stdout.split() == [b"out_of_memory", b"9"]


def test_pillows_switches_are_left_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    before = Image.MAX_IMAGE_PIXELS
    data = encode(photo(), "JPEG")
    with pytest.raises(Rejected):
        normalize(data[:-500])
    normalize(encode(photo(), "GIF"))
    assert before == Image.MAX_IMAGE_PIXELS


def test_pillow_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = photo().convert("P")
        normalize(encode(source, "PNG", transparency=bytes(range(256))))
        normalize(encode(photo(100, 100), "PNG"), ImageOptions(max_pixels=10_000))


def test_no_decoder_that_runs_other_programs_is_known() -> None:
    assert not any("eps" in kind or "wmf" in kind for kind in decoding.DECODERS)
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import derlem.media.image, sys; print('PIL.EpsImagePlugin' in sys.modules)",
        ],
        capture_output=True,
        check=True,
    )
    assert loaded.stdout.strip() == b"False"


def test_options_are_strict() -> None:
    with pytest.raises(ValidationError):
        ImageOptions.model_validate({"qualty": 3})
    with pytest.raises(ValidationError):
        ImageOptions.model_validate({"format": "tiff"})


def test_white_surrounds_the_first_frame_of_a_gif() -> None:
    data = bytearray(encode(Image.new("RGB", (2, 2), (32, 64, 192)), "GIF"))
    data[6:10] = struct.pack("<2H", 6, 4)
    at = data.index(b"," + struct.pack("<4H", 0, 0, 2, 2))
    data[at + 1 : at + 5] = struct.pack("<2H", 2, 1)
    stored = decode(normalize(bytes(data), ImageOptions(format="png")).data).convert("RGB")
    for column, row in itertools.product(range(6), range(4)):
        inside = column in (2, 3) and row in (1, 2)
        assert pixel(stored, column, row) == ((32, 64, 192) if inside else (255, 255, 255))
