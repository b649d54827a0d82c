"""Normalizes the bytes of an image into the one form that a corpus holds, or rejects them with a reason."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    PsdImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from ..catalog.models import Rejected
from ..catalog.status import Reason
from ..core import sniff
from . import jpeg, png
from .dhash import COARSE, difference_hash
from .image_options import ImageOptions
from .pixels import flatten, to_srgb


@dataclass(slots=True)
class NormalizedImage:
    """A normalized image.

    `width` and `height` are in pixels, upright. `sha256` is the hash of `data`, `original_sha256` the hash
    of the original bytes. `dhash` is a 64-bit difference hash, 16 hex digits: similar images differ in few
    bits. `meta` is merged into the item's: {"image": {"media_type": of the original, "mode": the
    original's pixel format, "changed": [what normalization changed, if anything]}}.
    """

    data: bytes
    media_type: str
    extension: str
    width: int
    height: int
    sha256: str
    original_sha256: str
    dhash: str
    meta: dict[str, Any]


_DECODERS: dict[str, Any] = {
    # An explicit list: Pillow's other decoders are never used, among them those that pass the bytes to
    # another program (EPS to Ghostscript).
    "image/png": PngImagePlugin.PngImageFile,
    "image/gif": GifImagePlugin.GifImageFile,
    "image/webp": WebPImagePlugin.WebPImageFile,
    "image/tiff": TiffImagePlugin.TiffImageFile,
    "image/bmp": BmpImagePlugin.BmpImageFile,
    "image/x-icon": IcoImagePlugin.IcoImageFile,
    "image/jp2": Jpeg2KImagePlugin.Jpeg2KImageFile,
    "image/avif": AvifImagePlugin.AvifImageFile,
    "image/vnd.adobe.photoshop": PsdImagePlugin.PsdImageFile,
    "image/x-portable-anymap": PpmImagePlugin.PpmImageFile,
}

_OUTPUT: dict[str, tuple[str, str, int, dict[str, Any]]] = {
    # format: media type, extension, longest side that it can hold, settings of the encoder
    "jpeg": ("image/jpeg", "jpg", 65_500, {"subsampling": "4:4:4"}),
    "png": ("image/png", "png", 2**31 - 1, {}),
    "webp": ("image/webp", "webp", 16_383, {"method": 4}),
}

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_DEFAULTS = ImageOptions()


def normalize(data: bytes, options: ImageOptions = _DEFAULTS) -> NormalizedImage:
    """Return the image in the form that a corpus holds. The same bytes always give the same image.

    Exif orientation is applied, then all metadata are dropped. Bilevel and 8-bit gray images become
    gray, all others RGB: transparent pixels over white, colors in sRGB, the first frame of several.
    A JPEG that needs none of that keeps its coded data byte for byte, and its ICC profile.

    Raises Rejected: `empty`, `not_image`, `unsupported_format`, `corrupt`, `truncated`,
    `too_many_pixels`, `too_many_bytes`, `too_small`, `too_large`, `aspect`, or `out_of_memory` when the
    pixels exceed the memory that the process may use, which leaves the process usable.
    """
    if not data:
        raise Rejected(Reason.EMPTY, "no bytes")
    # A global of Pillow's that other libraries switch on.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        if data.startswith(jpeg.START):
            return _from_jpeg(data, options)
        return _from_other(data, options)
    except MemoryError as error:
        raise Rejected(Reason.OUT_OF_MEMORY, "the image's pixels do not fit the worker's memory") from error


def _from_jpeg(data: bytes, options: ImageOptions) -> NormalizedImage:
    parsed = jpeg.parse(data)
    _check_pixels(parsed.width, parsed.height, options)
    changed = [] if parsed.data is data else ["metadata"]
    if not (parsed.conforming and options.format == "jpeg"):
        with _decoding("image/jpeg"):
            image: Image.Image = JpegImagePlugin.JpegImageFile(BytesIO(parsed.data))
            if image.size != (parsed.width, parsed.height):
                raise Rejected(Reason.CORRUPT, "the JPEG's headers contradict each other")
            image.load()
            return _reencode(image, parsed.orientation, data, "image/jpeg", options, changed)
    _check_shape(parsed.width, parsed.height, options)
    with _decoding("image/jpeg"):
        image, box = _coarse_luma(parsed)
    original = hashlib.sha256(data).hexdigest()
    digest = original if parsed.data is data else hashlib.sha256(parsed.data).hexdigest()
    _check_bytes(parsed.data, options)
    return NormalizedImage(
        data=parsed.data,
        media_type="image/jpeg",
        extension="jpg",
        width=parsed.width,
        height=parsed.height,
        sha256=digest,
        original_sha256=original,
        dhash=difference_hash(image, box),
        meta=_evidence("image/jpeg", "L" if parsed.components == 1 else "RGB", changed),
    )


def _coarse_luma(parsed: jpeg.Jpeg) -> tuple[Image.Image, tuple[int, int, float, float]]:
    """The luma of a conforming JPEG, up to eight times smaller, and the part of it that the image covers.

    All coefficients are decoded, so it finds what a full decode finds, at twice the speed: only the inverse
    transform is cut short. The decoder is called without Pillow's own reading of the headers, which
    `jpeg.parse` has done.
    """
    width, height = parsed.width, parsed.height
    least = min(width // max(width // 8, COARSE), height // max(height // 8, COARSE))
    scale = next((factor for factor in (8, 4, 2) if least >= factor), 1)
    size = (-(-width // scale), -(-height // scale))
    image = Image.new("L", size, None)  # not `Image.frombytes`, which paints it black before
    image.frombytes(parsed.data, "jpeg", ("L", "", scale, 0))
    return image, (0, 0, width / scale, height / scale)


def _from_other(data: bytes, options: ImageOptions) -> NormalizedImage:
    media_type = sniff.media_type(data[: sniff.HEAD])
    decoder = _DECODERS.get(media_type)
    if decoder is None:
        image_like = media_type.startswith("image/")
        raise Rejected(Reason.UNSUPPORTED_FORMAT if image_like else Reason.NOT_IMAGE, media_type)
    content = png.clean(data) if media_type == "image/png" else data
    with _decoding(media_type), _pillow_limits(options):
        image = decoder(BytesIO(content), "")
        _check_pixels(image.width, image.height, options)
        image.load()
        _check_pixels(image.width, image.height, options)  # the size of icons is known only after loading
        return _reencode(image, _orientation(image), data, media_type, options, [])


def _reencode(
    image: Image.Image,
    orientation: int,
    data: bytes,
    media_type: str,
    options: ImageOptions,
    changed: list[str],
) -> NormalizedImage:
    """Convert, turn and encode a decoded image."""
    mode = image.mode
    upright = _UPRIGHT.get(orientation)
    width, height = image.size if upright is None or orientation < 5 else image.size[::-1]
    _check_shape(width, height, options)
    output, extension, longest, settings = _OUTPUT[options.format]
    if max(width, height) > longest:
        raise Rejected(
            Reason.TOO_LARGE, f"{output} holds at most {longest} pixels a side, not {width}x{height}"
        )
    plain = to_srgb(flatten(image, changed), image.info.get("icc_profile"), changed)
    if upright is not None:
        plain = plain.transpose(upright)
        changed.append("orientation")
    plain.info = {}  # encoders would write comments and profiles from it
    if options.format != "png":
        settings = settings | {"quality": options.quality}
    buffer = BytesIO()
    plain.save(buffer, options.format.upper(), **settings)
    encoded = buffer.getvalue()
    changed.append("encoding")
    _check_bytes(encoded, options)
    return NormalizedImage(
        data=encoded,
        media_type=output,
        extension=extension,
        width=width,
        height=height,
        sha256=hashlib.sha256(encoded).hexdigest(),
        original_sha256=hashlib.sha256(data).hexdigest(),
        dhash=difference_hash(plain),
        meta=_evidence(media_type, mode, changed),
    )


def _evidence(media_type: str, mode: str, changed: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"media_type": media_type, "mode": mode}
    if changed:
        found["changed"] = changed
    return {"image": found}


# --- limits ---------------------------------------------------------------------------------------


def _check_pixels(width: int, height: int, options: ImageOptions) -> None:
    if width * height > options.max_pixels:
        raise Rejected(
            Reason.TOO_MANY_PIXELS, f"{width}x{height} pixels, {options.max_pixels:,} in all are allowed"
        )


def _check_shape(width: int, height: int, options: ImageOptions) -> None:
    short, long = min(width, height), max(width, height)
    if options.min_side is not None and short < options.min_side:
        raise Rejected(Reason.TOO_SMALL, f"{width}x{height} pixels, a side must have {options.min_side}")
    if options.max_side is not None and long > options.max_side:
        raise Rejected(Reason.TOO_LARGE, f"{width}x{height} pixels, a side may have {options.max_side}")
    if options.max_aspect is not None and long > short * options.max_aspect:
        raise Rejected(Reason.ASPECT, f"{width}x{height} pixels, {options.max_aspect:g} to 1 is allowed")


def _check_bytes(data: bytes, options: ImageOptions) -> None:
    if options.max_bytes is not None and len(data) > options.max_bytes:
        raise Rejected(Reason.TOO_MANY_BYTES, f"{len(data):,} bytes, {options.max_bytes:,} are allowed")


@contextmanager
def _decoding(media_type: str) -> Iterator[None]:
    """Map a decoder's exceptions to a reason.

    Pillow's parsers raise any exception on malformed files (KeyError, TypeError, OverflowError, ...), so
    no narrower class can be caught.
    """
    try:
        yield
    except (Rejected, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Rejected(Reason.TOO_MANY_PIXELS, str(error)) from error
    except Exception as error:
        text = f"{error}".lower()
        if "memory" in text:
            reason = Reason.OUT_OF_MEMORY
        elif (
            "truncated" in text
            or "not enough image data" in text
            or isinstance(error, EOFError)
            or isinstance(error.__cause__, EOFError)
        ):
            reason = Reason.TRUNCATED
        elif isinstance(error, NotImplementedError) or re.search(
            r"unsupported|not supported|cannot handle", text
        ):
            reason = Reason.UNSUPPORTED_FORMAT
        else:
            reason = Reason.CORRUPT
        raise Rejected(reason, f"{media_type}: {error or type(error).__name__}") from error


@contextmanager
def _pillow_limits(options: ImageOptions) -> Iterator[None]:
    """Apply the pixel limit to images inside a file (icons, frames); silence Pillow's warnings."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = options.max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _orientation(image: Image.Image) -> int:
    """The Exif orientation of a decoded image that is not a JPEG (TIFF applies its own while loading)."""
    for name in ("xmp", "XML:com.adobe.xmp"):
        image.info.pop(name, None)  # Pillow would read the orientation from XMP
    return int(image.getexif().get(0x0112, 1))
