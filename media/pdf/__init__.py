"""PDF documents from any source: their pages become items, and their pages' images the payloads.

`expand` lists a document's pages, cheaply; `read_pages` later gives each page's image, in any process,
in any order. Whatever a page does to the library that draws it happens in a process of its own
(`renderer.py`, started and watched by `leash.py`).
"""

from .document import expand
from .pages import read_pages
from .pdf_options import PdfOptions, resolve_renderer

__all__ = ["PdfOptions", "expand", "read_pages", "resolve_renderer"]
