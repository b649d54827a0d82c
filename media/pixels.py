"""Brings decoded pixels into the forms that a corpus holds: 8 bits, gray or sRGB, nothing transparent."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageCms

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def flatten(image: Image.Image, changed: list[str]) -> Image.Image:
    """The image as 8-bit L, RGB or CMYK, transparent pixels over white."""
    mode = image.mode
    if mode.startswith(("I", "F")):
        changed.append("depth")
        return _from_deep(image).convert("RGB")
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        changed.append("alpha")
        pixels = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(pixels, mask=pixels)
        return white
    if mode in ("L", "RGB", "CMYK"):
        return image
    changed.append({"1": "depth", "P": "palette"}.get(mode, "color"))
    return image.convert("L" if mode == "1" else "RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """8-bit gray from 16- or 32-bit gray, or floating point.

    16 bits lose their low byte. Values that are no 16-bit ones are stretched from their extremes,
    for want of a convention.
    """
    import numpy as np  # few images need it

    values = np.asarray(image)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values.astype(np.float64))
    low, high = values.min(), values.max()
    if values.dtype.kind != "f" and low >= 0 and high <= 0xFFFF:
        gray = (values >> 8).astype(np.uint8)
        clear = image.info.get("transparency")
        if isinstance(clear, int):
            gray[values == clear] = 255
    else:
        span = float(high) - float(low) or 1.0
        gray = ((values.astype(np.float64) - float(low)) * (255.0 / span)).round().astype(np.uint8)
    return Image.fromarray(gray)


def to_srgb(image: Image.Image, icc: bytes | None, changed: list[str]) -> Image.Image:
    """Colours by the embedded profile, where there is a usable one, in sRGB; gray stays gray."""
    wanted = "L" if image.mode == "L" else "RGB"
    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(BytesIO(icc))
            if "srgb" not in ImageCms.getProfileDescription(profile).lower():
                converted = ImageCms.profileToProfile(image, profile, _SRGB, outputMode="RGB")
                changed.append("color")
                image = image if converted is None else converted
        except (OSError, ImageCms.PyCMSError):
            changed.append("profile")  # unusable: dropped, the numbers are taken for sRGB
    if image.mode == "CMYK":
        changed.append("color")
    return image if image.mode == wanted else image.convert(wanted)
