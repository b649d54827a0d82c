"""A PDF document as a list of pages, each an item that waits to be read."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...catalog.models import Item, Rejected
from ...catalog.status import Reason
from .pdf_options import PdfOptions
from .user_unit import UserUnits

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

POINTS_PER_INCH = 72


@dataclass(frozen=True, slots=True)
class Document:
    """A document and its pages, which are items that wait to be read; `sha256` (hex) is that of its bytes."""

    sha256: str
    pages: list[Item]


def expand(data: bytes, document: Item, options: PdfOptions) -> Document:
    """The pages of a document, in order; nothing is drawn, no page's content is parsed.

    `read_pages` later finds the bytes in the workspace's cache, by their sha256. Pages inherit what the
    document has: category, caption, language, license, `meta`. A page that is known to be
    impossible already has its reason.

    Raises Rejected: `pdf_encrypted`, `pdf_damaged`, `pdf_empty`.
    """
    digest = hashlib.sha256(data).hexdigest()
    with open_document(data) as pdf:
        count = len(pdf)
        if not count:
            raise Rejected(Reason.PDF_EMPTY, "the document has no pages")
        units = UserUnits(pdf, data)
        numbers = range(1, count + 1)
        pages = [_page(pdf, number, units.of(number), count, digest, document, options) for number in numbers]
    return Document(digest, pages)


def open_document(source: Path | bytes) -> PdfDocument:
    """Open a PDF, to be closed by the caller.

    Raises Rejected: `pdf_encrypted`, `pdf_damaged`, `pdf_empty`.
    """
    import pypdfium2 as pdfium
    import pypdfium2.raw as raw

    try:
        return pdfium.PdfDocument(source)
    except pdfium.PdfiumError as error:
        if error.err_code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY):
            raise Rejected(Reason.PDF_ENCRYPTED, "the document opens with a password only") from error
        if _is_sound(source):
            raise Rejected(Reason.PDF_EMPTY, "the document has no pages") from error
        raise Rejected(Reason.PDF_DAMAGED, str(error)) from error


def _is_sound(source: Path | bytes) -> bool:
    """Whether pdfium refuses to open a document without an error, as it does if that has no pages.

    pdfium's last error stays until the next one, so a missing file sets one that a document cannot have.
    """
    import pypdfium2 as pdfium
    import pypdfium2.raw as raw

    raw.FPDF_LoadDocument(b"", None)
    try:
        pdfium.PdfDocument(source).close()
    except pdfium.PdfiumError as error:
        return bool(error.err_code == raw.FPDF_ERR_FILE)
    return False


def pixels(points: float, dpi: int) -> int:
    """The pixels of a length in points (1/72 inch), at least one."""
    return max(1, round(points / POINTS_PER_INCH * dpi))


def page_size(pdf: PdfDocument, number: int) -> tuple[float, float]:
    """Width and height of page `number` (from 1) in its units, upright as a viewer shows it.

    Rejected (`page_damaged`) if the page cannot be found or has no extent.
    """
    import pypdfium2.raw as raw

    size = raw.FS_SIZEF()
    found = raw.FPDF_GetPageSizeByIndexF(pdf, number - 1, size)
    width, height = (round(float(side), 4) for side in (size.width, size.height))  # of single precision
    if not found or not (0 < width < math.inf and 0 < height < math.inf):
        raise Rejected(Reason.PAGE_DAMAGED, "the page cannot be found, or has no size")
    return width, height


def _page(
    pdf: PdfDocument,
    number: int,
    unit: float,
    count: int,
    digest: str,
    document: Item,
    options: PdfOptions,
) -> Item:
    here = f"page={number}"
    facts: dict[str, Any] = {"page": number, "pages": count}
    reason = None
    try:
        width, height = (round(side * unit, 4) for side in page_size(pdf, number))
    except Rejected as rejection:
        reason = rejection.reason
        facts["detail"] = rejection.detail
    else:
        facts["size"] = [width, height]
        columns, rows = pixels(width, options.dpi), pixels(height, options.dpi)
        if columns * rows > options.max_page_pixels:
            reason = Reason.PAGE_TOO_LARGE
            facts["detail"] = f"{columns}x{rows} pixels at {options.dpi} DPI"
    return Item(
        source=document.source,
        uri=document.uri,
        locator=f"{document.locator}#{here}" if document.locator else here,
        category=document.category,
        caption=document.caption,
        language=document.language,
        license=document.license,
        parent_id=document.item_id,
        meta={**document.meta, "pdf": facts},
        document_sha256=digest,
        locator_state={"page": number},
        reason=reason,
    )
