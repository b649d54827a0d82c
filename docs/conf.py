"""Sphinx configuration: Markdown sources, no network, warnings are errors (`make docs`)."""

from __future__ import annotations

from derlem import __version__

project = "derlem"
release = __version__
copyright = "the derlem authors, Apache-2.0"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
nitpicky = True

html_theme = "furo"
html_title = "derlem"
html_copy_source = False
html_show_sphinx = False
