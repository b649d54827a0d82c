"""Reads the first bytes of an item as its source holds them, from this machine only: nothing is fetched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..catalog.models import Item, Payload
from ..core.errors import DerlemError
from ..core.workspace import Workspace
from .base import Context, Partitioning, SourceOptions
from .names import unescape
from .registry import adapter_class
from .tree import inside, open_below, root_of


@dataclass(frozen=True, slots=True)
class OriginalHead:
    """The first bytes of an original and its size in bytes (None if unknown); `why` there are none."""

    data: bytes
    size: int | None
    why: str | None = None


def original_head(
    context: Context, options: SourceOptions | None, row: Mapping[str, Any], length: int
) -> OriginalHead:
    """Return the head of an item's original, by the columns of `items`.

    The cache is searched first, then the ledger's bodies, then the source's own files and archives.
    """
    workspace: Workspace = context.workspace
    for digest in (row["original_sha256"], row["document_sha256"]):
        if digest and (kept := workspace.cached(digest)).exists():
            with kept.open("rb") as file:
                return OriginalHead(file.read(length), kept.stat().st_size)
    uri = str(row["uri"])
    if uri.startswith(("http://", "https://")):
        return _fetched(workspace, uri, length)
    path = getattr(options, "path", None)
    if options is None or not isinstance(path, str) or "://" in path:
        return OriginalHead(b"", None, "the original is not on this machine")
    try:
        if not row["locator"]:
            return _file(root_of(path), unescape(uri), length)
        return _member(context, options, row, length)
    except (OSError, DerlemError) as error:
        return OriginalHead(b"", None, str(error))


def _fetched(workspace: Workspace, uri: str, length: int) -> OriginalHead:
    from .http.body_store import BodyStore, Place
    from .http.ledger import LedgerError, stored_body

    absent = OriginalHead(b"", None, "the body is not in the cache")
    if not workspace.ledger.exists():
        return absent
    try:
        found = stored_body(workspace.ledger, uri)
    except LedgerError as error:
        return OriginalHead(b"", None, str(error))
    if found is None:
        return absent
    store = BodyStore(workspace)
    try:
        data = store.load(Place(*found))
    finally:
        store.close()
    return absent if data is None else OriginalHead(data[:length], len(data))


def _file(root: str, name: str, length: int) -> OriginalHead:
    if (real := inside(root, f"{root}/{name}")) is None:
        return OriginalHead(b"", None, "no file below the root of its source")
    descriptor = open_below(root, os.path.relpath(real, root))
    try:
        return OriginalHead(os.read(descriptor, length), os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _member(context: Context, options: SourceOptions, row: Mapping[str, Any], length: int) -> OriginalHead:
    adapter = adapter_class(options.adapter)
    if adapter.partitioning is Partitioning.BY_WORKER:
        return OriginalHead(b"", None, "the original is not on this machine")
    names = {column.name for column in fields(Item)}
    item = Item(**{name: value for name, value in row.items() if name in names})
    for _, read in adapter(context).read(options, [item]):
        if isinstance(read, Payload):
            return OriginalHead(read.data[:length], len(read.data))
        return OriginalHead(b"", None, f"{read.reason}: {read.detail}" if read.detail else str(read.reason))
    return OriginalHead(b"", None, "the source has no such member")
