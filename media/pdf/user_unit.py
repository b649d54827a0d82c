"""The size of a page's units (ISO 32000-1, table 30, UserUnit), which pdfium and poppler ignore."""

from __future__ import annotations

import io
import math
import mmap
import re
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

_KEY = b"/UserUnit"
_OBJECT_STREAM = re.compile(rb"/ObjStm\b")
_STREAM = re.compile(rb"stream\r?\n")
_VALUE = re.compile(rb"/UserUnit\s*([+-]?[\d.]+)")
_DICTIONARY_BYTES = 4096
_UNPACKED_BYTES = 2**24
"""Bytes of an object stream that are looked through; a page's dictionary stands in a small one."""


class UserUnits:
    """The user units of a document's pages; 1 for all pages of a document that does not name the key."""

    def __init__(self, pdf: PdfDocument, file: bytes | mmap.mmap) -> None:
        self._pdf = pdf
        self._named = file.find(_KEY) >= 0 or any(_KEY in unpacked for unpacked in _object_streams(file))

    def of(self, number: int) -> float:
        """How many points (1/72 inch) a unit of page `number` (from 1) has."""
        if not self._named:
            return 1.0
        import pypdfium2 as pdfium

        # pdfium writes the dictionary of a copied page as plain text.
        copy, written = pdfium.PdfDocument.new(), io.BytesIO()
        try:
            copy.import_pages(self._pdf, [number - 1])
            copy.save(written)
        except pdfium.PdfiumError:
            return 1.0
        finally:
            copy.close()
        found = _VALUE.search(written.getvalue())
        try:
            unit = float(found[1]) if found else 1.0
        except ValueError:
            return 1.0
        return unit if 0 < unit < math.inf else 1.0


def _object_streams(file: bytes | mmap.mmap) -> list[bytes]:
    """The content of the streams that hold packed dictionaries; those that do not unpack are left out."""
    found = []
    for match in _OBJECT_STREAM.finditer(file):
        start = _STREAM.search(file, match.end(), match.end() + _DICTIONARY_BYTES)
        if start is None:
            continue
        unpacker = zlib.decompressobj()
        try:
            found.append(
                unpacker.decompress(file[start.end() : start.end() + _UNPACKED_BYTES], _UNPACKED_BYTES)
            )
        except zlib.error:
            continue
    return found
