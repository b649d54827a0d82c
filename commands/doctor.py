"""`derlem doctor`: what could stand in the way, found before hours of work are lost to it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import PIL
import psutil

from ..catalog.connection import read_catalog
from ..core.errors import DerlemError
from ..core.workspace import Workspace
from ..media.pdf import resolve_renderer
from ..settings.load import Loaded, load

EXTRAS = {
    "fetch": "aiohttp",
    "huggingface": "datasets",
    "scrape": "scrapy",
    "croissant": "mlcroissant",
}
"""Optional parts of derlem and the library by which each is known to be there."""

LOW_SPACE = 10 * 1024**3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `wrong` makes the command fail, `note` does not."""

    check: str
    state: Literal["good", "note", "wrong"]
    detail: str


def examine(files: Sequence[Path], overrides: Sequence[str]) -> list[Finding]:
    """Look at the machine, then at the configuration, then at its workspace."""
    findings = [*_machine()]
    try:
        loaded = load(files, overrides)
    except DerlemError as error:
        return [*findings, Finding("configuration", "wrong", str(error))]
    names = ", ".join(source.name for source in loaded.config.sources)
    findings.append(Finding("configuration", "good", f"{len(loaded.config.sources)} sources: {names}"))
    return [*findings, *_configured(loaded), *_workspace(Workspace(Path(loaded.config.workspace)))]


def _machine() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", "good" if sys.version_info >= (3, 11) else "wrong", version)
    yield Finding("libraries", "good", f"duckdb {duckdb.__version__}, pillow {PIL.__version__}")
    memory = psutil.virtual_memory()
    yield Finding(
        "machine",
        "good",
        f"{len(os.sched_getaffinity(0))} cores, "
        f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free",
    )
    missing = [name for name, module in EXTRAS.items() if importlib.util.find_spec(module) is None]
    detail = (
        f"not installed: {', '.join(missing)} (pip install 'derlem[{','.join(missing)}]')"
        if missing
        else "all"
    )
    yield Finding("optional parts", "note" if missing else "good", detail)


def _configured(loaded: Loaded) -> Iterator[Finding]:
    config = loaded.config
    needed = config.ingest.workers * int(config.ingest.memory_limit)
    total = psutil.virtual_memory().total
    yield Finding(
        "worker memory",
        "good" if needed <= total else "note",
        f"{config.ingest.workers} workers of at most {int(config.ingest.memory_limit) / 2**30:.1f} GiB each, "
        f"{total / 2**30:.1f} GiB in all",
    )
    try:
        yield Finding("pdf renderer", "good", resolve_renderer(config.pdf))
    except DerlemError as error:
        yield Finding("pdf renderer", "wrong", str(error))
    if config.sample is None:
        yield Finding("sample", "note", "none is configured: `run` ends after ingest")


def _workspace(workspace: Workspace) -> Iterator[Finding]:
    folder = workspace.root
    while not folder.exists():
        folder = folder.parent
    writable = os.access(folder, os.W_OK)
    yield Finding(
        "workspace",
        "good" if writable else "wrong",
        f"{workspace.root}{'' if writable else ': not writable'}",
    )
    free = shutil.disk_usage(folder).free
    yield Finding("disk", "good" if free > LOW_SPACE else "note", f"{free / 2**30:.1f} GiB free")
    if not workspace.catalog.exists():
        yield Finding("catalog", "note", "none yet: `derlem run` makes it")
        return
    try:
        with read_catalog(workspace) as connection:
            [(items,)] = connection.execute("SELECT count(*) FROM items").fetchall()
    except DerlemError as error:
        yield Finding("catalog", "wrong", str(error))
    else:
        yield Finding("catalog", "good", f"{items:,} items")
