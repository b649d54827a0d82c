"""Pillow's decoders: which are used, their exceptions as reasons, and the limits of one call."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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

DECODERS: dict[str, Any] = {
    # An explicit list: Pillow's other decoders are never used, among them those that pass the bytes to
    # another program (EPS to Ghostscript).
    "image/jpeg": JpegImagePlugin.JpegImageFile,
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


def decodable_type(data: bytes) -> str:
    """The media type of an image that can be decoded; Rejected (`not_image`, `unsupported_format`) if not."""
    media_type = sniff.media_type(data[: sniff.HEAD])
    if media_type not in DECODERS:
        image_like = media_type.startswith("image/")
        raise Rejected(Reason.UNSUPPORTED_FORMAT if image_like else Reason.NOT_IMAGE, media_type)
    return media_type


def open_image(data: bytes, media_type: str) -> Image.Image:
    """The image with its header read, pixels not yet decoded."""
    image: Image.Image = DECODERS[media_type](BytesIO(data), "")
    return image


@contextmanager
def decoding(media_type: str, max_pixels: int) -> Iterator[None]:
    """Map a decoder's exceptions to reasons, and apply the limit to images inside a file (icons, frames).

    Pillow's parsers raise any exception on malformed files (KeyError, TypeError, OverflowError, ...), so
    no narrower class can be caught. Pillow's globals that other libraries switch are set, its warnings
    silenced.
    """
    before = Image.MAX_IMAGE_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Rejected, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Rejected(Reason.TOO_MANY_PIXELS, str(error)) from error
    except Exception as error:
        raise Rejected(_reason(error), f"{media_type}: {error or type(error).__name__}") from error
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _reason(error: Exception) -> Reason:
    text = f"{error}".lower()
    if "memory" in text:
        return Reason.OUT_OF_MEMORY
    ended = isinstance(error, EOFError) or isinstance(error.__cause__, EOFError)
    if ended or "truncated" in text or "not enough image data" in text:
        return Reason.TRUNCATED
    if isinstance(error, NotImplementedError) or re.search(
        r"unsupported|not supported|cannot handle|unknown pixel mode", text
    ):
        return Reason.UNSUPPORTED_FORMAT
    return Reason.CORRUPT
