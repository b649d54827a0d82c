"""Checks the machine, the configuration and the workspace for problems that would end a run late."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb
import PIL
import psutil

from ..adapters.base import SourceOptions
from ..adapters.tree import Tree
from ..catalog.connection import read_catalog
from ..core.errors import CatalogMissing, ConfigError, DerlemError
from ..core.workspace import Workspace
from ..media.pdf import PdfOptions, resolve_renderer
from ..storage.connection import open_bucket
from ..storage.probe import ROUNDS, probe
from ..storage.sync_options import SyncOptions
from .ingest_options import IngestOptions

EXTRAS = {
    "fetch": "aiohttp",
    "huggingface": "datasets",
    "scrape": "scrapy",
    "s3": "boto3",
    "croissant": "mlcroissant",
}
"""Optional parts of derlem, each with the module whose presence shows that the part is installed."""

LOW_SPACE = 10 * 1024**3


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `wrong` makes the command fail, `note` does not."""

    check: str
    state: Literal["good", "note", "wrong"]
    detail: str


def examine_machine() -> Iterator[Finding]:
    """Check Python, libraries and resources."""
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


def examine_options(ingest: IngestOptions, pdf: PdfOptions) -> Iterator[Finding]:
    """Check that the machine has the memory and the PDF renderer that the configuration requires."""
    needed = ingest.workers * int(ingest.memory_limit)
    total = psutil.virtual_memory().total
    yield Finding(
        "worker memory",
        "good" if needed <= total else "note",
        f"{ingest.workers} workers of at most {int(ingest.memory_limit) / 2**30:.1f} GiB each, "
        f"{total / 2**30:.1f} GiB in all",
    )
    try:
        yield Finding("pdf renderer", "good", resolve_renderer(pdf))
    except DerlemError as error:
        yield Finding("pdf renderer", "wrong", str(error))


def examine_sources(sources: Sequence[SourceOptions]) -> Iterator[Finding]:
    """Check whether the paths of sources exist."""
    for source in sources:
        path = getattr(source, "path", None)
        if not isinstance(path, str):
            continue
        try:
            Tree(path)
        except ConfigError as error:
            yield Finding("source", "wrong", f"{source.name}: {error.message}")


def examine_copy(options: SyncOptions | None) -> Iterator[Finding]:
    """Check that the bucket of the workspace's copy answers, and honors conditional writes."""
    if options is None:
        return
    try:
        found = probe(open_bucket(options))
    except DerlemError as error:
        yield Finding("copy", "wrong", str(error))
        return
    if not found.good:
        failed = f"{found.failed_creates} creates and {found.failed_swaps} replacements of {ROUNDS} each"
        why = "several instances could work at once"
        yield Finding("copy", "wrong", f"{options.url}: {failed} succeeded more than once or never: {why}")
        return
    yield Finding("copy", "good", f"{options.url}: conditional writes are honored")
    if found.versioned:
        yield Finding(
            "copy", "note", "the bucket keeps old versions: a lifecycle rule must expire what a purge deletes"
        )


def examine_workspace(workspace: Workspace) -> Iterator[Finding]:
    """Check the workspace, which may not exist yet, and its catalog."""
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
    try:
        with read_catalog(workspace) as connection:
            [(items,)] = connection.execute("SELECT count(*) FROM items").fetchall()
    except CatalogMissing:
        yield Finding("catalog", "note", "none yet: `derlem run` creates it")
    except DerlemError as error:
        yield Finding("catalog", "wrong", str(error))
    else:
        yield Finding("catalog", "good", f"{items:,} items")
