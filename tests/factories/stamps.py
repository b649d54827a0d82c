"""A folder of small PNG images with sidecars as Tux Paint's stamps have them, made on the spot."""

from __future__ import annotations

import tarfile
import unicodedata
import zipfile
from pathlib import Path

from PIL import Image, ImageDraw

MODES = ("RGBA", "LA", "P", "RGB")
FOLDERS = ("animals", "animals/birds/water", "plants", "food/fruit", "household/a/b/c/d", "ev eşyası")


def make_stamps(folder: Path, count: int) -> Path:
    """Write `count` images of several modes and sizes, in categories one to five levels deep; the folder.

    Every 13th has no sidecar, every 11th no Turkish caption; captions repeat, some are in NFD. The last two
    images have the same bytes.
    """
    for number in range(count):
        place = folder / FOLDERS[number % len(FOLDERS)]
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"stamp_{number:04d}.png"
        content = min(number, count - 2)
        _draw(content).save(path)
        if number % 13 == 5:
            continue
        lines = [f"A stamp, number {content % 50}.", "de.utf8=Ein Stempel."]
        if number % 11 != 3:
            text = f'"Şık" bir çizim, sayı {content % 50}: ığüö.'
            lines.append(f"tr.utf8={unicodedata.normalize('NFD', text) if number % 3 else text}")
        path.with_suffix(".txt").write_text("\n".join([*lines, "zu.utf8=Isitembu.", ""]), "utf-8")
    return folder


def _draw(number: int) -> Image.Image:
    mode = MODES[number % len(MODES)]
    width, height = 12 + number % 40, 36 + number % 9
    image = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    color = (number % 256, number // 256 % 256, number * 37 % 256, 255)
    draw = ImageDraw.Draw(image)
    draw.ellipse((1, 1, width - 2, height - 2), color)
    draw.point((2 + number % 8, height // 2), (255 - color[0], color[1], color[2], 255))
    return image if mode == "RGBA" else image.convert(mode)


def pack_stamps(stamps: Path, folder: Path) -> None:
    """Write the files of `stamps` into `stamps.zip` and `stamps.tar.gz` of the folder."""
    images = sorted(path for path in stamps.rglob("*") if path.is_file())
    with zipfile.ZipFile(folder / "stamps.zip", "w") as packed:
        for path in images:
            packed.write(path, path.relative_to(stamps))
    with tarfile.open(folder / "stamps.tar.gz", "w:gz", compresslevel=1) as packed_tar:
        for path in images:
            packed_tar.add(path, path.relative_to(stamps))
