"""Detects media types from the first bytes; names and declared types are not used."""

from __future__ import annotations

import codecs
import re

HEAD = 1024
"""Number of first bytes that suffice to detect every type."""

UNKNOWN = "application/octet-stream"

ARCHIVES = frozenset(
    {
        "application/zip",
        "application/x-tar",
        "application/gzip",
        "application/x-bzip2",
        "application/x-xz",
        "application/zstd",
        "application/x-7z-compressed",
        "application/vnd.rar",
    }
)
"""Types that contain other files; inside an archive they are nested archives."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0\x08\0\0\0", "image/tiff"),  # BigTIFF
    (b"MM\0+\0\x08\0\0", "image/tiff"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xffO\xffQ\0", "image/jp2"),  # a bare code stream
    (b"\xff\x0a", "image/jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"8BPS\0\x01", "image/vnd.adobe.photoshop"),
    (b"8BPS\0\x02", "image/vnd.adobe.photoshop"),
    (b"P7\n", "image/x-portable-arbitrarymap"),
    (b"qoif", "image/qoi"),
    (b"DDS |\0\0\0", "image/vnd.ms-dds"),
    (b"v/1\x01", "image/x-exr"),
    (b"#?RADIANCE", "image/vnd.radiance"),
    (b"II\xbc\x01", "image/jxr"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"PK\x07\x08", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"AT&TFORM", "image/vnd.djvu"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"ARROW1\0\0", "application/vnd.apache.arrow.file"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"OggS", "application/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"%!PS", "application/postscript"),
)

_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}

_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"hevx": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
}

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_SIDES = _GAP + rb"\d+" + _GAP + rb"\d+"
_NETPBM = re.compile(rb"P(?:[14]" + _SIDES + rb"\s|[2356]" + _SIDES + _GAP + rb"\d+\s)")
_FLOATMAP = re.compile(rb"P[Ff]\s\d+\s\d+\s-?\d")

_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|script|table|div|h1)[\s>]", re.IGNORECASE)
_SVG = re.compile(rb"<svg[\s>]|<!doctype\s+svg\s", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\f\r\x1b")


def media_type(head: bytes) -> str:
    """Return the media type of data that starts with `head` (pass `HEAD` bytes, or all bytes).

    Images, documents, archives and texts are detected; other data, and empty data, are
    `application/octet-stream`.
    """
    for signature, found in _SIGNATURES:
        if head.startswith(signature):
            return found
    if _NETPBM.match(head):
        return "image/x-portable-anymap"
    if _FLOATMAP.match(head):
        return "image/x-portable-floatmap"
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], UNKNOWN)
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    if head[:3] == b"BZh" and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return "application/x-bzip2"
    if head[1:4] == b"\x2aM\x18" and 0x50 <= head[0] < 0x60:  # a skippable frame first, written by pzstd
        return "application/zstd"
    if head[257:262] == b"ustar" or _is_old_tar(head):
        return "application/x-tar"
    if b"%PDF-" in head[:HEAD]:  # readers accept the marker anywhere in the first kilobyte
        return "application/pdf"
    if head[:2] == b"BM" and _is_bmp(head):
        return "image/bmp"
    if head[:4] in (b"\0\0\x01\0", b"\0\0\x02\0") and _is_icon(head):
        return "image/x-icon" if head[2] == 1 else "image/x-win-cursor"
    return _text_type(head)


def _iso_media(head: bytes) -> str:
    """Distinguish HEIF and AVIF from videos, by the major brand, then the compatible brands."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12]] + [head[at : at + 4] for at in range(16, size - 3, 4)]
    found = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
    special = [name for name in found if name != "image/heif"]  # mif1 alone does not determine the codec
    return special[0] if special else found[0] if found else "video/mp4"


def _is_old_tar(head: bytes) -> bool:
    """Return whether `head` is a tar header before ustar, which has a checksum but no magic."""
    if len(head) < 512 or not head[0]:
        return False
    digits = head[148:156].strip(b"\0 ")
    if not digits or digits.strip(b"01234567"):
        return False
    return int(digits, 8) == sum(head[:148]) + sum(head[156:512]) + 8 * 32


def _is_bmp(head: bytes) -> bool:
    header = int.from_bytes(head[14:18], "little")
    return header in (12, 16, 40, 52, 56, 64, 108, 124)


def _is_icon(head: bytes) -> bool:
    count = int.from_bytes(head[4:6], "little")
    return 0 < count < 256 and len(head) >= 22 and head[9] == 0


def _text_type(head: bytes) -> str:
    text, encoding = head, "utf-8"
    for mark, name in _BOMS:
        if head.startswith(mark):
            text, encoding = head[len(mark) :], name
            break
    decoder = codecs.getincrementaldecoder(encoding)()  # the head may end inside a character
    try:
        words = decoder.decode(text)
    except UnicodeDecodeError:
        # Any bytes decode in single-byte encodings; texts contain no control characters.
        return UNKNOWN if _CONTROL.intersection(text) else _markup(text, "text/plain")
    if not words or _CONTROL.intersection(map(ord, words)):
        return UNKNOWN
    return _markup(words.encode(), "text/plain")


def _markup(text: bytes, otherwise: str) -> str:
    text = text.lstrip()
    if text.startswith(b"<"):
        svg, html = _SVG.search(text), _HTML.search(text)
        if svg and (not html or svg.start() < html.start()):
            return "image/svg+xml"
        if html:
            return "text/html"
        return "application/xml" if text.startswith(b"<?xml") else otherwise
    if re.match(rb'\{\s*(?:"|\}|$)|\[\s*(?:["{\[\]\d\-]|true|false|null|$)', text):
        return "application/json"
    return otherwise
