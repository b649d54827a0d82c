"""Draws pages to JPEGs of an exact size: with pdfium, or with poppler's pdftocairo through pdf2image."""

from __future__ import annotations

import importlib.metadata
import math
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pdf2image
import pypdfium2 as pdfium
import pypdfium2.raw as raw
from pdf2image.exceptions import PDFInfoNotInstalledError, PDFPageCountError
from PIL import Image, JpegImagePlugin

from ...catalog.models import Failure
from ...catalog.status import Reason
from .. import jpeg
from .inspection import SPREAD, color_spread

POLL = 0.02
"""Seconds between checks for pages that pdftocairo has finished."""

BAD_FONT = re.compile(r"font", re.IGNORECASE)
"""In poppler's messages: text may be missing from the page."""

BAD_SCAN = re.compile(r"JBIG2|CCITTFax|JPX|JP2|flate stream|DCT|JPEG", re.IGNORECASE)
"""In poppler's messages: the data of an image are damaged."""

COMPLAINT = re.compile(f"{BAD_FONT.pattern}|{BAD_SCAN.pattern}", re.IGNORECASE)

MESSAGE_CHARACTERS = 400

UNIFORM = 2
"""Levels of 255 within which a page counts as having nothing on it."""

_END_OF_JPEG = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Job:
    """A page to draw: its number (from 1), size in points and pixels, gray or RGB, and facts about it.

    `is_marked`: whether something is drawn on it; `is_scan`: whether an image covers most of it.
    """

    number: int
    points: tuple[float, float]
    size: tuple[int, int]
    gray: bool
    facts: dict[str, Any]
    is_marked: bool = True
    is_scan: bool = False

    def continues(self, run: list[Job]) -> bool:
        """Whether one call can draw it together with the run."""
        last = run[-1]
        return self.number == last.number + 1 and (self.points, self.size, self.gray) == (
            last.points,
            last.size,
            last.gray,
        )


def extremes(data: bytes) -> tuple[int, int]:
    """The darkest and the brightest luma of a rendered page; its JPEG is decoded at an eighth of its size."""
    luma, _ = jpeg.coarse_luma(jpeg.parse(data), 1)
    extrema: Any = luma.getextrema()
    return int(extrema[0]), int(extrema[1])


def is_uniform(data: bytes) -> bool:
    """Whether a rendered page has nothing on it."""
    darkest, brightest = extremes(data)
    return brightest - darkest <= UNIFORM


def shows_more(other: bytes, drawn: bytes) -> bool:
    """Whether the other rendering of a page has marks on it, or is of a color where `drawn` is white."""
    return not is_uniform(other) or (min(extremes(other)) < 255 - UNIFORM <= min(extremes(drawn)))


def has_color(data: bytes) -> bool:
    """Whether a pixel of a rendered page has a color."""
    image = JpegImagePlugin.JpegImageFile(BytesIO(data))
    image.draft(image.mode, (image.width // 8, image.height // 8))
    if color_spread(image) > SPREAD:
        return True
    return color_spread(JpegImagePlugin.JpegImageFile(BytesIO(data))) > SPREAD  # small marks


def poppler_shows_color(path: Path, job: Job) -> bool:
    """Whether a small rendering by poppler has a color; True if there is none."""
    longest = max(job.size)
    size = tuple(max(1, side * min(longest, 500) // longest) for side in job.size)
    try:
        (image,) = pdf2image.convert_from_path(
            path,
            first_page=job.number,
            last_page=job.number,
            size=size,
            fmt="png",
            use_cropbox=True,
            use_pdftocairo=True,
        )
        return color_spread(image) > SPREAD
    except (PDFPageCountError, PDFInfoNotInstalledError, ValueError, OSError, SyntaxError):
        return True  # an image that poppler did not finish


@cache
def version(renderer: str) -> str:
    """The renderer with its version: 'pdfium 159.0.8149.0', 'pdf2image 1.17.0, poppler 22.12.0'."""
    if renderer == "pdfium":
        return f"pdfium {pdfium.PDFIUM_INFO.version.partition('@')[0]}"
    output = subprocess.run(["pdftocairo", "-v"], capture_output=True, check=False, text=True).stderr
    poppler = output.partition("\n")[0].rpartition(" ")[2]
    return f"pdf2image {importlib.metadata.version('pdf2image')}, poppler {poppler}"


def poppler_agrees(path: Path, count: int) -> bool:
    """Whether poppler finds the same `count` pages, so that both renderers number them alike.

    Poppler skips pages that it cannot find and gives their numbers to the following ones, but counts all
    declared pages: the last page then has no size.
    """
    try:
        info = pdf2image.pdfinfo_from_path(str(path), first_page=count, last_page=count)
    except (PDFPageCountError, PDFInfoNotInstalledError):
        return False
    sizes = [value for key, value in info.items() if key.startswith("Page ") and key.endswith(" size")]
    return info["Pages"] == count and len(sizes) == 1 and not sizes[0].startswith("0 x 0")


def draw_with_pdfium(page: pdfium.PdfPage, job: Job, quality: int) -> bytes | Failure:
    """The page as a JPEG, with annotations and, if the document's forms are initialized, form fields."""
    channels = raw.FPDFBitmap_Gray if job.gray else raw.FPDFBitmap_BGRx
    width, height = job.size
    try:
        bitmap = pdfium.PdfBitmap.new_native(width, height, channels, rev_byteorder=not job.gray)
    except pdfium.PdfiumError:
        return Failure(Reason.OUT_OF_MEMORY, f"no memory for {width}x{height} pixels")
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
    flags = raw.FPDF_ANNOT | (raw.FPDF_GRAYSCALE if job.gray else raw.FPDF_REVERSE_BYTE_ORDER)
    raw.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, flags)
    if page.formenv:
        raw.FPDF_FFLDraw(page.formenv, bitmap, page, 0, 0, width, height, 0, flags)
    # Four bytes a pixel go to the encoder as they are, without a copy.
    mode = "L" if job.gray else "RGBX"
    image = Image.frombuffer(mode, job.size, bitmap.buffer, "raw", mode, bitmap.stride, 1)
    encoded = BytesIO()
    image.save(encoded, "JPEG", quality=quality, subsampling="4:4:4")
    image.close()
    bitmap.close()
    return encoded.getvalue()


def draw_with_pdf2image(
    path: Path, run: list[Job], folder: Path, quality: int, begin: Callable[[int], None]
) -> Iterator[tuple[Job, bytes | None, str]]:
    """Yield consecutive pages of one size: each page's JPEG, None if there is none, and poppler's complaint.

    pdf2image ignores its programs' exit codes, so the pages are counted: those missing from a run, and all
    of a run of which poppler complains, are drawn alone, so that a page does not depend on its neighbors.
    `begin` receives the number of the page being drawn.
    """
    call = _Call(path, run, folder, quality)
    for job, following in zip(run, [*run[1:], None], strict=True):
        begin(job.number)
        call.wait_for(job, following)
    complaint = call.complaint if COMPLAINT.search(call.complaint) else ""
    for job in run:
        data = call.result(job)
        if len(run) > 1 and (data is None or complaint):
            yield from draw_with_pdf2image(path, [job], folder, quality, begin)
        else:
            yield job, _exactly(data, job, quality) if data else None, call.complaint


def _scale(job: Job) -> dict[str, Any]:
    """The arguments of pdf2image that give the page's exact size.

    pdftocairo scales to a given size, but then rounds up what floating point leaves over: one page in three
    would get a row or a column too many. For those the resolution is given, where that comes out even.
    """
    pairs = list(zip(job.points, job.size, strict=True))
    if any(math.ceil(points * (72.0 * wanted / points / 72.0)) != wanted for points, wanted in pairs):
        dpi = min(72.0 * wanted / points for points, wanted in pairs) * (1 - 1e-6)
        if all(math.ceil(points * dpi / 72.0) == wanted for points, wanted in pairs):
            return {"dpi": dpi}
    return {"size": job.size}


def _exactly(data: bytes, job: Job, quality: int) -> bytes:
    """The JPEG in the requested size; it is encoded again if it has a row or a column too many."""
    image = JpegImagePlugin.JpegImageFile(BytesIO(data))
    if image.size == job.size:
        return data
    exact = Image.new(image.mode, job.size, "white")
    exact.paste(image)
    encoded = BytesIO()
    exact.save(encoded, "JPEG", quality=quality, subsampling="4:4:4")
    return encoded.getvalue()


class _Call:
    """One call of pdf2image, in a thread, so that its pages can be read while it runs.

    pdf2image gets no timeout, which would not cover its pdfinfo: `renderer_client.py` ends the whole
    process group instead.
    """

    def __init__(self, path: Path, run: list[Job], folder: Path, quality: int) -> None:
        self._folder = folder
        self.complaint = ""
        self._thread = threading.Thread(target=self._convert, args=(path, run, quality), daemon=True)
        self._thread.start()

    def _convert(self, path: Path, run: list[Job], quality: int) -> None:
        try:
            pdf2image.convert_from_path(
                path,
                first_page=run[0].number,
                last_page=run[-1].number,
                **_scale(run[0]),
                grayscale=run[0].gray,
                fmt="jpeg",
                jpegopt={"quality": quality},
                use_cropbox=True,
                use_pdftocairo=True,  # three times as fast as pdftoppm, and true to embedded scans
                output_folder=self._folder,
                paths_only=True,
                strict=True,  # poppler's error messages arrive as an exception, after its pages
            )
        except Exception as error:  # the missing pages are counted, whatever the cause
            lines = [line for line in str(error).splitlines() if COMPLAINT.search(line)]
            other = str(error).splitlines() or [type(error).__name__]
            self.complaint = "; ".join(dict.fromkeys(lines or other[:1]))[:MESSAGE_CHARACTERS]

    def wait_for(self, job: Job, following: Job | None) -> None:
        """Return once the page is finished: when the next page's file exists, or the call has ended."""
        while self._thread.is_alive() and (following is None or self._file(following) is None):
            self._thread.join(POLL)

    def result(self, job: Job) -> bytes | None:
        """The page's file, after the call has ended; None if it is missing or incomplete."""
        file = self._file(job)
        if file is None:
            return None
        data = file.read_bytes()
        file.unlink()
        return data if data.endswith(_END_OF_JPEG) else None

    def _file(self, job: Job) -> Path | None:
        for path in self._folder.glob("*.jpg"):  # <unique name>-<page number, padded>.jpg
            if int(path.stem.rpartition("-")[2]) == job.number:
                return path
        return None
