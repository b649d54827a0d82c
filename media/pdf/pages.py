"""Reads pages: from page items to their images, document by document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...catalog.models import Failure, Item, Payload
from ...catalog.status import Reason
from ...core.workspace import Workspace
from .pdf_options import PdfOptions, resolve_renderer
from .renderer_client import Answer, RendererClient

RENDERER = RendererClient()
"""One per process: starting it takes as long as extracting ten pages."""

PAGES_AT_ONCE = 16
"""Consecutive pages of a document in one request."""


def read_pages(
    workspace: Workspace, options: PdfOptions, items: Iterable[Item]
) -> Iterator[tuple[str, Payload | Failure]]:
    """Yield (item_id, payload or failure) once for each page item, as `expand` made them.

    Documents lie in the workspace's cache. Payloads are the embedded JPEG of a scan, or a JPEG of exactly
    round(inches x dpi) pixels; their `meta` holds the page's rotation, the resolution of its largest image,
    the renderer and its version, and the text in it. `items` is consumed lazily, a few pages at a time.
    """
    options = options.model_copy(update={"renderer": resolve_renderer(options)})
    for batch in _batches(items):
        yield from _read(workspace, options, batch)


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Neighbouring pages of one document."""
    batch: list[Item] = []
    for item in items:
        if batch and (item.document_sha256 != batch[-1].document_sha256 or len(batch) == PAGES_AT_ONCE):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _read(
    workspace: Workspace, options: PdfOptions, batch: list[Item]
) -> Iterator[tuple[str, Payload | Failure]]:
    digest = batch[0].document_sha256
    assert digest is not None, "only pages are read here"
    path = workspace.cached(digest)
    if not path.exists():
        missing = Failure(Reason.MISSING, "the document is no longer in the cache")
        yield from ((item.item_id, missing) for item in batch)
        return
    by_number: dict[int, list[Item]] = {}
    for item in batch:
        by_number.setdefault(int(item.locator_state["page"]), []).append(item)
    for answer in RENDERER.read(path, list(by_number), options):
        for item in by_number[answer.number]:  # copies of a document share its pages
            yield item.item_id, _result(item, answer)


def _result(item: Item, answer: Answer) -> Payload | Failure:
    meta = {"pdf": {**item.meta.get("pdf", {}), **answer.facts}}
    if answer.data is None:
        assert answer.reason is not None
        return Failure(answer.reason, answer.detail, meta)
    return Payload(answer.data, meta=meta)
