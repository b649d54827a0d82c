"""Names the subsystems: each has a logger `derlem.<name>`, a level in the configuration and a log file."""

from __future__ import annotations

SUBSYSTEMS = (
    *("pipeline", "adapters", "files", "archive", "urls", "fetch", "huggingface", "scrape"),
    *("sample", "build", "audit", "sync"),
)
"""The names of loggers below `derlem`; each has a log file."""
