"""Public test sets: every file has an outcome, and what is stored is what independent programs show.

`make test` takes some files of each set, `make soak` all.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pytest
import yaml
from PIL import Image

import derlem
from tests.factories.imagemagick import imagemagick, reference
from tests.factories.pdf import needs_poppler

from .conftest import SOAK

SETS = {
    "pdfjs": ("files",),
    "qpdf": ("files",),
    "libpng": ("files",),
    "tiff": ("files",),
    "gdk-pixbuf": ("files",),
    "libarchive": ("files", "archive"),
    "golang": ("files", "archive"),
}
FILES, FILE_BYTES = 10, 100_000
"""Of each set, in `make test`: files, and the size of the largest."""

DPI, SMALL_DPI = 100, 36
TOLERANCE = 6
"""Levels of 255, on average over an image."""

WHITE, CLEAR_COLOR, NO_COLOR = 250, 64, 16
"""Levels of 255: the darkest pixel of a white page; differences between channels."""

FAULTS = ("read_error", "decoder_crash", "worker_killed", "deadline", "out_of_memory")

DIFFERENT = {
    "libpng/*-1.8*.png": "ImageMagick applies no gAMA but 1.0 and 0.45455",
    "golang/*/gophercolor16x16.png": "ImageMagick applies no gAMA but 1.0 and 0.45455",
    "libpng/pngtest.png": "ImageMagick 6 leaves a PNG as it is turned",
    "gdk-pixbuf/*/image-outside-bg.gif": "a frame beyond its screen: the screen grows, as in browsers",
    "gdk-pixbuf/*/image-overlap-bg.gif": "a frame beyond its screen: the screen grows, as in browsers",
    "gdk-pixbuf/*/missing-pixels.gif": "transparent outside the first frame, as the set's own reference",
    "gdk-pixbuf/*/dispose-restore-background.gif": "transparent outside the first frame, as in browsers",
    "gdk-pixbuf/*/bug785447.ico": "the largest image of an icon is stored, ImageMagick shows the first",
    "tiff/*/minisblack-2c-8b-alpha.tiff": "fully transparent, of which ImageMagick shows the hidden levels",
    "tiff/*/ojpeg_*.tiff": "ImageMagick does not convert the colors of old-style JPEG, or refuses the file",
    "tiff/*/test_float64_predictor2_*.tif": "floats beyond 1, which ImageMagick cuts",
}
"""Files whose stored pixels are not those of ImageMagick, each with the reason."""


@dataclass
class Comparison:
    """What was compared, and what differs."""

    images: int = 0
    pages: int = 0
    faults: list[str] = field(default_factory=list)


def chosen(folder: Path, target: Path) -> Path:
    """The set itself in a soak, otherwise a folder of some of its small files."""
    if SOAK:
        return folder
    small = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < FILE_BYTES]
    small.sort(key=lambda path: hashlib.sha256(path.relative_to(folder).as_posix().encode()).digest())
    for path in small[:FILES]:
        copy = target / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return target


@needs_poppler
@pytest.mark.skipif(imagemagick() is None, reason="ImageMagick is not installed")
@pytest.mark.parametrize("name", SETS)
def test_a_public_set(name: str, material: Callable[[str], Path], tmp_path: Path) -> None:
    folder = chosen(material(name), tmp_path / name)
    config = tmp_path / "derlem.yaml"
    common = {"path": str(folder), "license": "LicenseRef-tests"}
    sources = [{"name": adapter, "adapter": adapter, **common} for adapter in SETS[name]]
    sample = {"name": "s", "target": 100_000, "allow_shortfall": True, "min_per_source": 0}
    settings = {"pdf": {"dpi": DPI}, "ingest": {"workers": 2}, "sample": sample}
    config.write_text(yaml.safe_dump({"workspace": "work", "sources": sources, **settings}))
    done = subprocess.run(
        [sys.executable, "-m", "derlem", "-c", str(config), "run"],
        capture_output=True,
        text=True,
        check=False,
    )
    project = derlem.open(config)
    ready = project.sql("SELECT count(*) AS n FROM items WHERE status = 'ready'").to_pylist()[0]["n"]
    assert done.returncode == (0 if ready else 2), done.stderr
    check_accounts(project, folder, tmp_path / "work", done.stderr)
    found = Comparison()
    items = list(project.items(source="files", status="ready"))
    compare_images(found, name, folder, [item for item in items if not item.locator], tmp_path)
    compare_pages(found, folder, [item for item in items if item.locator])
    print(name, f"{found.images} images and {found.pages} pages compared")
    assert not found.faults, "\n".join(found.faults)


def check_accounts(project: derlem.Project, folder: Path, work: Path, messages: str) -> None:
    logs = messages + "".join(path.read_text() for path in (work / "logs").glob("*"))
    assert "Traceback" not in logs
    assert json.loads((work / "state" / "current.json").read_text())["worker_deaths"] == 0
    progress = project.sql("SELECT * FROM progress").to_pylist()
    assert all(row["pending"] == row["failed"] == 0 for row in progress), progress
    outcomes = project.sql(
        "SELECT source, status, reason, count(*) AS n FROM items GROUP BY ALL ORDER BY ALL"
    )
    print(outcomes.to_pylist())
    assert not [row for row in outcomes.to_pylist() if row["reason"] in FAULTS]
    listed = {row["uri"] for row in project.sql("SELECT uri FROM items WHERE source = 'files'").to_pylist()}
    present = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert listed == {path.as_posix() for path in present if not any(part[0] == "." for part in path.parts)}


def compare_images(found: Comparison, name: str, folder: Path, items: list[Any], scratch: Path) -> None:
    for item in items:
        if any(fnmatch.fnmatch(f"{name}/{item.uri}", pattern) for pattern in DIFFERENT):
            continue
        kind = item.meta["image"]["media_type"].partition("/")[2]
        suffix = {"x-icon": "ico", "x-portable-anymap": "pnm", "vnd.adobe.photoshop": "psd"}.get(kind, kind)
        expected = reference((folder / item.uri).read_bytes(), suffix, scratch)
        stored = np.asarray(item.image().convert("RGB"), int)
        found.images += 1
        if expected is None or stored.shape != expected.shape:
            size = "nothing" if expected is None else expected.shape
            found.faults.append(f"{item.uri}: {stored.shape}, ImageMagick shows {size}")
        elif (difference := np.abs(stored - expected).mean()) > TOLERANCE:
            found.faults.append(f"{item.uri}: {difference:.1f} levels from ImageMagick")


def compare_pages(found: Comparison, folder: Path, items: list[Any]) -> None:
    for uri, pages in groupby(items, key=lambda item: item.uri):
        numbers = {int(item.locator.removeprefix("page=")): item for item in pages}
        drawn = [*by_poppler(folder / uri), *by_pdfium(folder / uri)]
        for number, item in numbers.items():
            found.pages += 1
            stored = np.asarray(item.image().convert("RGB"), int)
            others = [pixels for other, pixels in drawn if other == number]
            if stored.min() >= WHITE and any(other.min() < WHITE - NO_COLOR for other in others):
                found.faults.append(f"{uri} {number}: white, but not by the other renderer")
            clear = any((spread(other) > CLEAR_COLOR).mean() > 5e-4 for other in others)
            if clear and spread(stored).max() <= NO_COLOR:
                found.faults.append(f"{uri} {number}: gray, but in color by the other renderer")


def spread(pixels: np.ndarray) -> np.ndarray:
    difference: np.ndarray = pixels.max(2) - pixels.min(2)
    return difference


def by_poppler(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    from pdf2image import convert_from_path
    from pdf2image.exceptions import PDFPageCountError

    try:
        pages = convert_from_path(path, dpi=SMALL_DPI, use_cropbox=True, use_pdftocairo=True, timeout=120)
    except (PDFPageCountError, OSError):  # OSError: of an image that poppler did not finish
        return
    for number, page in enumerate(pages, start=1):
        yield number, np.asarray(page.convert("RGB"), int)


def by_pdfium(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Without form fields, the text of which pdfium draws with colored fringes."""
    with pdfium.PdfDocument(path) as document:
        for number in range(1, len(document) + 1):
            try:
                bitmap = document[number - 1].render(scale=SMALL_DPI / 72, may_draw_forms=False)
            except (pdfium.PdfiumError, ValueError):  # ValueError: of a page without an extent
                continue
            image: Image.Image = bitmap.to_pil()
            yield number, np.asarray(image.convert("RGB"), int)
