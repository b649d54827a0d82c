"""Normalizes the bytes of an image into the one form that a corpus holds, or rejects them with a reason."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import GifImagePlugin, Image

from ..catalog.models import Rejected
from ..catalog.status import Reason
from . import color, jpeg, png, tiff
from .decoding import decodable_type, decoding, open_image
from .dhash import COARSE, difference_hash
from .icc import Profile
from .image_options import ImageOptions
from .pixels import Samples, flatten, words


@dataclass(slots=True)
class NormalizedImage:
    """A normalized image.

    `width` and `height` are in pixels, upright. `sha256` is the hash of `data`, `original_sha256` the hash
    of the original bytes. `dhash` is a 64-bit difference hash, 16 hex digits: similar images differ in few
    bits. `meta` is merged into the item's: {"image": {"media_type": of the original, "mode": the
    original's pixel format, "changed": [what normalization changed, if anything], "frames": their number,
    if there are several (animations, pages of a TIFF): the first one is stored}}.
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


@dataclass(slots=True)
class _Decoded:
    """A decoded file: its pixels, the profile that it holds, and the facts for `meta`."""

    pixels: Image.Image | Samples
    mode: str
    size: tuple[int, int]
    media_type: str
    orientation: int = 1
    profile: bytes | None = None
    frames: int = 1


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
    try:
        if data.startswith(jpeg.START):
            return _from_jpeg(data, options)
        media_type = decodable_type(data)
        with decoding(media_type, options.max_pixels):
            return _reencode(_decode(data, media_type, options), data, options, [])
    except MemoryError as error:
        raise Rejected(Reason.OUT_OF_MEMORY, "the image's pixels do not fit the worker's memory") from error


def _from_jpeg(data: bytes, options: ImageOptions) -> NormalizedImage:
    parsed = jpeg.parse(data)
    _check_pixels(parsed.width, parsed.height, options)
    changed = [] if parsed.data is data else ["metadata"]
    profile = None
    if parsed.profile is not None:
        notes: list[str] = []
        mode = {1: "L", 3: "RGB", 4: "CMYK"}.get(parsed.components, "")
        profile = color.usable(parsed.profile or b"incomplete", mode, notes)
        if notes:  # the stored JPEG must not keep a profile that no decoder can use
            parsed, changed = jpeg.parse(data, keep_profile=False), notes
    converts = profile is not None and options.color == "srgb"
    fits = options.resize is None or options.resize.scaled(parsed.width, parsed.height) is None
    if not parsed.conforming or converts or not fits or options.format != "jpeg":
        with decoding("image/jpeg", options.max_pixels):
            return _reencode(_decoded_jpeg(parsed, profile), data, options, changed)
    _check_shape(parsed.width, parsed.height, options)
    with decoding("image/jpeg", options.max_pixels):
        luma, box = jpeg.coarse_luma(parsed, COARSE)
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
        dhash=difference_hash(luma, box),
        meta=_evidence("image/jpeg", "L" if parsed.components == 1 else "RGB", changed),
    )


def _decoded_jpeg(parsed: jpeg.Jpeg, profile: Profile | None) -> _Decoded:
    if parsed.precision == 8:
        jpeg.coarse_luma(parsed, 1)  # finds damage that Pillow passes over
    image = open_image(parsed.data, "image/jpeg")
    if image.size != (parsed.width, parsed.height):
        raise Rejected(Reason.CORRUPT, "the JPEG's headers contradict each other")
    image.load()
    data = profile.data if profile else None
    return _Decoded(image, image.mode, image.size, "image/jpeg", parsed.orientation, data)


def _decode(data: bytes, media_type: str, options: ImageOptions) -> _Decoded:
    """Decode a file of any format but JPEG."""
    if media_type == "image/png":
        return _decoded_png(data, options)
    found = tiff.directory(data) if media_type == "image/tiff" else None
    if found is not None and found.is_beyond_pillow:
        _check_pixels(*found.size, options)
        samples = tiff.read(data, found)
        turned, profile = found.orientation, found.profile
        return _Decoded(samples, found.mode, found.size, media_type, turned, profile, found.pages)
    image = open_image(data, media_type)
    _check_pixels(image.width, image.height, options)
    frames = found.pages if found else _frames(image)
    tiles = image.tile if isinstance(image, GifImagePlugin.GifImageFile) else []
    image.load()
    _check_pixels(image.width, image.height, options)  # the size of icons is known only after loading
    pixels: Image.Image | Samples = image
    for tile in tiles:  # at most one: the first frame
        if tile.extents not in (None, (0, 0, *image.size)):
            pixels = _clear_outside(image, tile.extents)
    if found is not None and found.unused_bits:
        pixels = Samples(np.left_shift(words(np.asarray(image)), np.uint16(found.unused_bits)))
    profile = image.info.get("icc_profile") or color.in_container(data, media_type, image.mode)
    return _Decoded(pixels, image.mode, image.size, media_type, _orientation(image), profile, frames)


def _decoded_png(data: bytes, options: ImageOptions) -> _Decoded:
    found = png.parse(data)
    size = (found.width, found.height)
    _check_pixels(*size, options)
    profile = found.profile()
    if found.depth == 16:
        samples = Samples(*found.deep_samples())
        return _Decoded(samples, found.mode, size, "image/png", found.orientation, profile, found.frames)
    image = open_image(found.data, "image/png")
    image.load()
    found.check_rows(image)
    return _Decoded(image, image.mode, size, "image/png", found.orientation, profile, found.frames)


def _clear_outside(image: Image.Image, covered: tuple[int, int, int, int]) -> Image.Image:
    """The image, transparent where its first frame does not cover it: Pillow shows the first color there."""
    clear = Image.new("RGBA", image.size, (0, 0, 0, 0))
    clear.paste(image.convert("RGBA").crop(covered), covered)
    return clear


def _frames(image: Image.Image) -> int:
    """The number of frames in the file; 1 where those after the first cannot be found."""
    try:
        count = int(getattr(image, "n_frames", 1))
        image.seek(0)
    except (EOFError, OSError, SyntaxError, ValueError):
        return 1
    return count


def _reencode(decoded: _Decoded, data: bytes, options: ImageOptions, changed: list[str]) -> NormalizedImage:
    """Convert, turn, scale and encode a decoded image."""
    upright = _UPRIGHT.get(decoded.orientation)
    width, height = decoded.size if upright is None or decoded.orientation < 5 else decoded.size[::-1]
    _check_shape(width, height, options)
    scaled = options.resize.scaled(width, height) if options.resize else None
    output, extension, longest, settings = _OUTPUT[options.format]
    if max(scaled or (width, height)) > longest:
        raise Rejected(
            Reason.TOO_LARGE, f"{output} holds at most {longest} pixels a side, not {width}x{height}"
        )
    plain = flatten(decoded.pixels, decoded.profile, changed, keep_color=options.color == "keep")
    image = plain.image
    if upright is not None:
        image = image.transpose(upright)
        changed.append("orientation")
    if scaled is not None:
        image = image.resize(scaled, Image.Resampling.LANCZOS)
        changed.append("size")
    image.info = {}  # encoders would write comments and profiles from it
    if options.format != "png":
        settings = settings | {"quality": options.quality}
    if plain.profile is not None:
        settings = settings | {"icc_profile": plain.profile}
    buffer = BytesIO()
    image.save(buffer, options.format.upper(), **settings)
    encoded = buffer.getvalue()
    changed.append("encoding")
    _check_bytes(encoded, options)
    return NormalizedImage(
        data=encoded,
        media_type=output,
        extension=extension,
        width=image.width,
        height=image.height,
        sha256=hashlib.sha256(encoded).hexdigest(),
        original_sha256=hashlib.sha256(data).hexdigest(),
        dhash=difference_hash(image),
        meta=_evidence(decoded.media_type, decoded.mode, changed, decoded.frames),
    )


def _evidence(media_type: str, mode: str, changed: list[str], frames: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = {"media_type": media_type, "mode": mode}
    if changed:
        found["changed"] = changed
    if frames > 1:
        found["frames"] = frames
    return {"image": found}


def _orientation(image: Image.Image) -> int:
    """The Exif orientation of an image decoded by Pillow, which applies a TIFF's while loading."""
    for name in ("xmp", "XML:com.adobe.xmp"):
        image.info.pop(name, None)  # Pillow would read the orientation from XMP
    return int(image.getexif().get(0x0112, 1))


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
