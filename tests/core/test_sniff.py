"""Media types are recognized from bytes alone."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from derlem.core.sniff import ARCHIVES, HEAD, UNKNOWN, media_type

PILLOW = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
    "AVIF": "image/avif",
    "JPEG2000": "image/jp2",
    "ICO": "image/x-icon",
    "PPM": "image/x-portable-anymap",
    "PDF": "application/pdf",
}


def encoded(form: str) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize(("form", "expected"), PILLOW.items())
def test_what_pillow_writes(form: str, expected: str) -> None:
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow is built without AVIF")
    assert media_type(encoded(form)[:HEAD]) == expected


def tar_bytes(form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        info = tarfile.TarInfo("a.txt")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    return buffer.getvalue()


def zip_bytes() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.txt", "abc")
    return buffer.getvalue()


def v7_tar() -> bytes:
    """A tar without the ustar magic: old writers knew the first 257 bytes only."""
    header = bytearray(tar_bytes(tarfile.USTAR_FORMAT)[:512])
    header[257:] = bytes(255)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


ARCHIVE_SAMPLES = {
    "application/zip": zip_bytes(),
    "application/x-tar": tar_bytes(tarfile.PAX_FORMAT),
    "application/gzip": gzip.compress(b"abc"),
    "application/x-bzip2": bz2.compress(b"abc"),
    "application/x-xz": lzma.compress(b"abc"),
    "application/zstd": zstandard.compress(b"abc"),
    "application/x-7z-compressed": b"7z\xbc\xaf\x27\x1c\0\x04" + bytes(24),
    "application/vnd.rar": b"Rar!\x1a\x07\x01\0",
}


@pytest.mark.parametrize(("expected", "data"), ARCHIVE_SAMPLES.items(), ids=list(ARCHIVE_SAMPLES))
def test_archives(expected: str, data: bytes) -> None:
    assert media_type(data[:HEAD]) == expected
    assert expected in ARCHIVES


def test_every_archive_type_is_tried() -> None:
    assert set(ARCHIVE_SAMPLES) == ARCHIVES


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_tar_dialects(form: int) -> None:
    assert media_type(tar_bytes(form)[:HEAD]) == "application/x-tar"


def test_a_tar_from_before_ustar() -> None:
    assert media_type(v7_tar()) == "application/x-tar"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", UNKNOWN),
        (b"\0\0\0\0", UNKNOWN),
        (b"\x00\x00\x00\x1cftypheic\0\0\0\0mif1heic", "image/heic"),
        (b"\x00\x00\x00\x1cftypmif1\0\0\0\0mif1avif", "image/avif"),
        (b"\x00\x00\x00\x18ftypmif1\0\0\0\0mif1", "image/heif"),
        (b"\x00\x00\x00\x18ftypisom\0\0\0\0mp42", "video/mp4"),
        (b"8BPS\0\x01" + bytes(6), "image/vnd.adobe.photoshop"),
        (b"II+\0\x08\0\0\0", "image/tiff"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "audio/wav"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html>", "text/html"),
        (b"<html lang=tr><body>429 Too Many Requests", "text/html"),
        (b"<!doctype html><body><svg width=1></svg>", "text/html"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "image/svg+xml"),
        (b"<?xml version='1.0'?>\n<!-- drawn by hand -->\n<svg >", "image/svg+xml"),
        (b"<?xml version='1.0'?><rss>", "application/xml"),
        (json.dumps({"a": 1}).encode(), "application/json"),
        (b"[1, 2]", "application/json"),
        ("Görsel açıklaması".encode(), "text/plain"),
        ("Görsel açıklaması, ığüş".encode("windows-1254"), "text/plain"),
        ("Görsel".encode("utf-16"), "text/plain"),
        (b"junk before\n%PDF-1.4\n", "application/pdf"),
        (b"BM is how this sentence starts, no bitmap", "text/plain"),
        (b"BZh is how this sentence starts", "text/plain"),
        (b"P5 12 13 is how this one starts", "text/plain"),
        (b"P6\n# a comment\n12 # another\n13\n255\n\0\0", "image/x-portable-anymap"),
        (b"P4\t3 4\n\0\0\0\0", "image/x-portable-anymap"),
        (b"Pf\n3 4\n-1.0\n", "image/x-portable-floatmap"),
        (b"qoif\0\0\0\1\0\0\0\1\3\0", "image/qoi"),
    ],
)
def test_by_hand(head: bytes, expected: str) -> None:
    assert media_type(head) == expected


def test_a_head_that_ends_inside_a_character() -> None:
    assert media_type("ş".encode() * 100 + "ş".encode()[:1]) == "text/plain"


@given(st.binary(max_size=HEAD))
def test_never_raises(head: bytes) -> None:
    assert "/" in media_type(head)
