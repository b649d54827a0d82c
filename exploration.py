"""Interactive reading of a workspace, as `project.explore`: what `derlem browse` shows.

All methods read. They are thread-safe, share one connection to the catalog, and leave the catalog to a run
between commits (see catalog/shared_reader.py).
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from . import results
from .adapters.originals import OriginalHead, original_head
from .catalog.bounded_queries import BoundedRows, QueryLimits, run_bounded
from .catalog.browsing import BadRequest as BadRequest
from .catalog.browsing import Facets, ItemSummary, Page, count_items, manifest_number, read_facets, read_page
from .catalog.browsing import ItemFilter as ItemFilter
from .catalog.browsing import PageKey as PageKey
from .catalog.item_details import (
    AllocationRow,
    History,
    ItemDetails,
    child_allocations,
    read_details,
    read_history,
    read_row,
)
from .catalog.item_details import HistoryRow as HistoryRow
from .catalog.item_details import UnknownItem as UnknownItem
from .catalog.queries import query
from .catalog.shared_reader import QueryTimeout as QueryTimeout
from .catalog.shared_reader import SharedReader
from .core.errors import DerlemError
from .media.thumbnail import thumbnail
from .pipeline.lock import lock_holder
from .sampling.diff import ManifestDiff, diff_manifests

if TYPE_CHECKING:
    from .execution import Execution

SECONDS = 10.0
"""Time limit of the queries of one page."""
HEAD = 512
"""Bytes of an original that `original` returns."""
FACETS_AGE = 30.0
MEMORY = "1GB"
_PLACES = 20_000
_DIFFS = 8


class Unavailable(DerlemError):
    """No stored image has this hash, or its bytes are not there."""


class Exploration:
    """Pages, items, images and manifests of a workspace, for an interactive reader."""

    def __init__(self, execution: Execution) -> None:

        self._execution = execution
        self._workspace = workspace = execution.workspace
        self._reader = SharedReader(workspace, MEMORY, lambda: lock_holder(workspace) is not None)
        self._guard = threading.Lock()
        self._state: object = None
        self._places: OrderedDict[str, tuple[str, int, int, str]] = OrderedDict()
        self._facets: tuple[object, float, Facets] | None = None
        self._diffs: OrderedDict[tuple[str, str], ManifestDiff] = OrderedDict()

    def close(self) -> None:
        """Close the catalog."""
        self._reader.close()

    def page(
        self, chosen: ItemFilter, size: int, *, after: PageKey | None = None, before: PageKey | None = None
    ) -> Page:
        """Items that satisfy a filter, in a fixed order. Raises QueryTimeout, UnknownManifest."""

        with self._reader.cursor(SECONDS) as cursor:
            found = read_page(cursor, chosen, size, after=after, before=before)
        self._keep_places(found.items)
        return found

    def count(self, chosen: ItemFilter) -> int:
        """The number of items that satisfy a filter. Raises QueryTimeout, UnknownManifest."""

        with self._reader.cursor(SECONDS) as cursor:
            return count_items(cursor, chosen)

    def facets(self) -> Facets:
        """The values of the filters with their numbers of items, during a run at most FACETS_AGE old."""
        self._forget_old()
        with self._guard:
            known, state = self._facets, self._state
        if known is not None and (known[0] == state or time.monotonic() - known[1] < FACETS_AGE):
            return known[2]
        with self._reader.cursor(2 * SECONDS) as cursor:
            found = read_facets(cursor)
        with self._guard:
            self._facets = (state, time.monotonic(), found)
        return found

    def item(self, item_id: str) -> ItemDetails:
        """An item with its provenance and its manifests. Raises UnknownItem."""

        with self._reader.cursor(SECONDS) as cursor:
            found = read_details(cursor, item_id)
        self._forget_old()
        with self._guard:
            for image in found.stored_images:
                place = (
                    found.columns["segment"],
                    image["offset"],
                    image["length"],
                    image["media_type"] or "",
                )
                self._places[image["sha256"]] = place
        return found

    def history(self, source: str, item_id: str, seconds: float = 10.0) -> History:
        """The rows of an item in the segments of its source, as many as `seconds` allow."""

        return read_history(self._workspace, source, item_id, seconds)

    def original(self, item_id: str) -> OriginalHead:
        """The first HEAD bytes of an item's original, if it is on this machine. Raises UnknownItem."""

        with self._reader.cursor(SECONDS) as cursor:
            row = read_row(cursor, item_id)
        declared = {source.name: source for source in self._execution.loaded.config.sources}
        return original_head(self._execution.context, declared.get(row["source"]), row, HEAD)

    def image(self, sha256: str) -> tuple[bytes, str]:
        """The bytes and the media type of the stored image with this sha256 (hex). Raises Unavailable."""
        segment, offset, length, media_type = self._place(sha256)
        try:
            with self._workspace.segment_tar(segment).open("rb") as file:
                file.seek(offset)
                data = file.read(length)
        except FileNotFoundError:
            raise Unavailable(f"the segment {segment} has no file") from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Unavailable(f"the segment {segment} contains other bytes")
        return data, media_type

    def require_image(self, sha256: str) -> None:
        """Raise Unavailable unless the catalog has a stored image with this sha256 (hex)."""
        self._place(sha256)

    def thumbnail(self, sha256: str, side: int) -> bytes:
        """A JPEG of a stored image, at most `side` pixels long. Raises Unavailable."""

        data, _ = self.image(sha256)
        try:
            return thumbnail(data, side)
        except (OSError, ValueError) as error:
            raise Unavailable(f"the image does not decode: {error}") from error

    def manifests(self) -> tuple[results.ManifestSummary, ...]:
        """The stored manifests, the newest first."""

        with self._reader.cursor(SECONDS) as cursor:
            rows = cursor.execute(query("browse/manifests")).fetchall()
        return tuple(results.ManifestSummary(*row) for row in rows)

    def allocations(self, corpus: str, node: str = "") -> tuple[AllocationRow, ...]:
        """A node of a manifest's category tree with its children. Raises UnknownManifest."""

        with self._reader.cursor(SECONDS) as cursor:
            manifest_number(cursor, corpus)
            return child_allocations(cursor, corpus, node)

    def diff(self, a: str, b: str) -> ManifestDiff:
        """Compare two stored manifests; kept per state of the catalog. Raises UnknownManifest."""

        self._forget_old()
        with self._guard:
            known = self._diffs.get((a, b))
        if known is None:
            with self._reader.cursor(6 * SECONDS) as cursor:
                known = diff_manifests(cursor, a, b)
            with self._guard:
                self._diffs[a, b] = known
                while len(self._diffs) > _DIFFS:
                    self._diffs.popitem(last=False)
        return known

    def runs(self) -> tuple[results.RunSummary, ...]:
        """The last runs that the catalog knows, the newest first."""
        with self._reader.cursor(SECONDS) as cursor:
            rows = cursor.execute(query("browse/runs")).fetchall()
        return tuple(results.RunSummary(*row) for row in rows)

    def progress(self) -> tuple[results.SourceProgress, ...]:
        """The items of every source by status."""
        with self._reader.cursor(SECONDS) as cursor:
            rows = cursor.execute("FROM progress").fetchall()
        return tuple(results.SourceProgress(*row) for row in rows)

    def query(self, text: str, limits: QueryLimits | None = None) -> BoundedRows:
        """The result of a user's query, within limits. Raises QueryError."""

        return run_bounded(self._workspace, text, limits)

    def _forget_old(self) -> None:
        """Forget what was computed from another state of the catalog."""
        try:
            found = self._workspace.catalog.stat()
            state: object = (found.st_ino, found.st_size, found.st_mtime_ns)
        except FileNotFoundError:
            state = None
        with self._guard:
            if state != self._state:
                self._state = state
                self._places.clear()
                self._diffs.clear()

    def _keep_places(self, items: tuple[ItemSummary, ...]) -> None:
        self._forget_old()
        with self._guard:
            for item in items:
                if item.sha256 and item.offset is not None and item.length and item.status == "ready":
                    place = (item.segment, item.offset, item.length, item.media_type or "")
                    self._places[item.sha256] = place
            while len(self._places) > _PLACES:
                self._places.popitem(last=False)

    def _place(self, sha256: str) -> tuple[str, int, int, str]:
        """The place of an image; withdrawn images have none as soon as their withdrawal is committed."""

        self._forget_old()
        with self._guard:
            known = self._places.get(sha256)
        if known is None:
            with self._reader.cursor(SECONDS) as cursor:
                rows = cursor.execute(query("browse/place"), {"sha256": sha256}).fetchall()
            if not rows:
                raise Unavailable("no stored image has this hash")
            segment, offset, length, media_type = rows[0]
            known = (segment, offset, length, media_type or "")
            with self._guard:
                self._places[sha256] = known
        return known
