"""Numbers segments, recovers them after a kill, and commits them to the catalog by time or size."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence

import duckdb
import pyarrow as pa

from ..catalog.connection import WRITE_WAIT, write_catalog
from ..catalog.losses import set_aside
from ..catalog.segment_files import BadSegment, OtherVersion, Segment, inspect, stored
from ..catalog.segments import merge
from ..core.durable import rename
from ..core.errors import CatalogBusy
from ..core.workspace import Workspace
from .ingest_options import IngestOptions
from .segment_writer import WrittenSegment, write_rows

log = logging.getLogger("derlem.pipeline")


class SegmentStore:
    """Numbers complete segments and commits them to the catalog.

    Each run has one instance, under the workspace's lock. `recover` is called first: it merges complete
    segments of a killed run and removes the run's incomplete files.
    """

    def __init__(
        self,
        workspace: Workspace,
        options: IngestOptions,
        after_commit: Callable[[Sequence[Segment]], None] | None = None,
        in_commit: Callable[[duckdb.DuckDBPyConnection], None] = lambda _: None,
    ) -> None:
        self.workspace, self._options, self._after_commit = workspace, options, after_commit
        self._in_commit = in_commit
        self._waiting: list[Segment] = []
        self._items = 0
        self._committed = time.monotonic()
        self._last: dict[str, int] = {}
        """The highest segment number of each source, among files and rows of the catalog."""

    def recover(self, connection: duckdb.DuckDBPyConnection) -> int:
        """Merge complete segments that the catalog does not hold and return their number."""
        self.tidy()
        known = dict(connection.execute("SELECT segment, source FROM segments").fetchall())
        files = {f"{path.parent.name}/{path.stem}": path for path in stored(self.workspace)}
        found = self._readable(name for name in files if name not in known)
        for name in {*known, *(segment.name for segment in found)}:
            source, _, number = name.rpartition("/")
            self._last[source] = max(self._last.get(source, 0), int(number))
        self._remove_lone_tars()
        merged = merge(connection, found)
        if merged:
            log.info("merged %d segments of an earlier run", merged)
        return merged

    def _readable(self, names: Iterable[str]) -> list[Segment]:
        """Complete segments without damaged and foreign files, whose items are still pending."""
        found = []
        for name in names:
            try:
                found.append(inspect(self.workspace, self.workspace.segment_rows(name)))
            except OtherVersion:
                raise
            except BadSegment as error:
                log.error("%s", error)
                set_aside(self.workspace, name)
        return found

    def _remove_lone_tars(self) -> None:
        """Remove the tar of a segment whose rows were not renamed before a kill: no row refers to the tar.

        Such a tar has the next number. An earlier tar without rows has lost its rows; its images are kept.
        """
        for tar in stored(self.workspace, suffix=".tar"):
            if tar.with_suffix(".parquet").exists():
                continue
            if int(tar.stem) > self._last.get(tar.parent.name, 0):
                tar.unlink()
            else:
                log.warning("%s: its rows are missing (%s)", tar, tar.with_suffix(".parquet").name)

    def tidy(self) -> None:
        """Remove the files of incomplete segments, while no worker is running."""
        for leftover in self.workspace.store.glob("*/.*.tmp"):
            leftover.unlink()

    def adopt(self, written: WrittenSegment) -> Segment:
        """Number and rename a complete segment. The rows are renamed last: they make the segment valid."""
        number = self._next_number(written.source)
        rows = written.rows.parent / f"{number:06d}.parquet"
        if written.tar is not None:
            rename(written.tar, rows.with_suffix(".tar"))
        rename(written.rows, rows)
        segment = inspect(self.workspace, rows)
        self._waiting.append(segment)
        self._items += segment.items
        return segment

    def write_rows(self, source: str, kind: str, run: str, rows: pa.Table) -> None:
        """Write rows without images as a segment of their own, and adopt it."""
        folder = self.workspace.store / source
        self.adopt(write_rows(folder, rows, source=source, kind=kind, run=run))

    @property
    def due(self) -> bool:
        """Whether a commit is due, by the number of outcomes or by time."""
        if not self._waiting:
            return False
        age = time.monotonic() - self._committed
        return self._items >= self._options.commit_items or age >= self._options.commit_seconds

    def commit(self, *, wait_for_readers: bool = True) -> None:
        """Merge the adopted segments, in one transaction.

        Without `wait_for_readers`, the commit is postponed if readers hold the catalog.
        """
        if not self._waiting:
            return
        try:
            with write_catalog(self.workspace, wait=WRITE_WAIT if wait_for_readers else 1.0) as connection:
                merge(connection, self._waiting)
                self._in_commit(connection)
        except CatalogBusy as busy:
            if wait_for_readers:
                raise
            log.info("commit postponed: %s", busy)
        else:
            committed = list(self._waiting)
            self._waiting.clear()
            self._items = 0
            if self._after_commit is not None:  # the catalog is closed
                self._after_commit(committed)
        self._committed = time.monotonic()

    def _next_number(self, source: str) -> int:
        self._last[source] = self._last.get(source, 0) + 1
        return self._last[source]
