"""What ImageMagick, an independent decoder, shows of an image file."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@cache
def imagemagick() -> str | None:
    """The program; None if it is not installed."""
    for name in ("magick", "convert"):
        found = shutil.which(name)
        if found:
            output = subprocess.run([found, "-version"], capture_output=True, check=False, text=True).stdout
            if output.startswith("Version: ImageMagick"):
                return found
    return None


def reference(data: bytes, suffix: str, folder: Path) -> np.ndarray | None:
    """The first image: upright, in sRGB, over white (rows, columns, 3); None if ImageMagick draws nothing."""
    source, target = folder / f"image.{suffix}", folder / "srgb.icc"
    source.write_bytes(data)
    target.write_bytes(SRGB)
    command = [str(imagemagick()), f"{source}[0]", "-auto-orient", "-profile", str(target)]
    command += ["-colorspace", "sRGB"]  # linear light has no profile to convert from
    command += ["-coalesce" if suffix == "gif" else "+repage"]
    command += ["-background", "white", "-flatten", "-depth", "8", "-type", "TrueColor", "ppm:-"]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if not done.stdout:
        return None
    return np.asarray(Image.open(io.BytesIO(done.stdout)).convert("RGB"), int)
