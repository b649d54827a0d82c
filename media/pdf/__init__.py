"""PDF documents from any source: their pages become items, and their pages' images the payloads.

`expand` lists a document's pages without drawing them; `read_pages` yields each page's image, in any
process, in any order. Pages are drawn in a separate process (`renderer_process.py`), which
`renderer_client.py` starts, watches and ends.
"""

from .document import Document, expand
from .pages import read_pages
from .pdf_options import PdfOptions, resolve_renderer

__all__ = ["Document", "PdfOptions", "expand", "read_pages", "resolve_renderer"]
