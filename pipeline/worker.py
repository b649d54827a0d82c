"""What a worker does with a task: read items through their adapter, settle each, write segments.

A pure function of its task and job: it sees no catalog and decides nothing about the next task.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..adapters.base import Adapter
from ..catalog.models import Failure, Payload, Rejected, now
from ..catalog.status import Reason, Status
from ..core.errors import DerlemError
from ..core.sniff import media_type
from ..media.image import NormalizedImage, normalize
from ..media.pdf import expand, read_pages
from ..storage.cache import keep
from .job import Emit, Guard, Job, Tell
from .rows import SETTLED_AT_ONCE, Row, announce, as_item, failed, merged_meta, parse, updated
from .segment_writer import SegmentWriter
from .sidecar import sidecar
from .tasks import Task, read_plan

SNIFFED = 4096
"""Bytes that the media type is told from."""

TELL_SECONDS = 3.0
"""Seconds between two words on how a refresh goes."""

log = logging.getLogger("derlem.pipeline")


def ingest_task(task: Task, job: Job, guard: Guard, emit: Emit, tell: Tell) -> None:
    """Settle every item of the task; segments go to `emit` as they fill up or as time passes.

    What was settled before an unexpected error is handed over, too, so that it is not done again. Of a task
    that refreshes, `tell` hears now and then of items that stay: `unchanged`, or by the reason why there is
    nothing better to be had.
    """
    output = _Refreshed(task, job, emit, tell) if task.refresh else _Output(task, job, emit)
    try:
        for row, result in _results(task, job, guard):
            guard.begin(row["item_id"])
            output.settle(row, result)
            guard.waiting()
            if guard.ending:  # at once: leaving the adapter may take its time
                output.flush()
                return
        output.flush()
    except (DerlemError, KeyboardInterrupt, SystemExit):  # the run ends: what it needs is room
        output.abandon()
        raise
    except Exception:
        output.flush()
        raise


def _results(task: Task, job: Job, guard: Guard) -> Iterator[tuple[Row, Payload | Failure]]:
    """Each row with what reading it gave; the rows that are settled beforehand come first."""
    guard.waiting()
    in_flight: dict[str, Row] = {}
    unread: list[tuple[Row, Failure]] = []

    def rows() -> Iterator[Row]:
        for row in read_plan(task):
            reason = task.condemned or task.settled.get(row["item_id"])
            if reason is None:
                in_flight[row["item_id"]] = row
                yield row
            else:
                unread.append((row, Failure(reason, SETTLED_AT_ONCE.get(reason, ""))))

    items = (as_item(row) for row in rows())
    if task.pages:
        results = read_pages(job.context.workspace, job.media.pdf, items)
    else:
        adapter: Adapter[Any] = job.adapters[task.source.name](job.context)
        results = adapter.read(task.source, items)
    for item_id, result in results:
        yield in_flight.pop(item_id), result
        while unread:
            yield unread.pop()
    yield from unread
    if in_flight:
        raise RuntimeError(
            f"the {task.source.adapter} adapter left {len(in_flight)} items unanswered, "
            f"such as {next(iter(in_flight))}"
        )


class _Output:
    """The segment being written for a task, and the rules by which an item is settled into it."""

    kind = "ingest"

    def __init__(self, task: Task, job: Job, emit: Emit) -> None:
        self._task, self._job, self._emit = task, job, emit
        self._writer: SegmentWriter | None = None
        self._settled: list[str] = []

    def settle(self, row: Row, result: Payload | Failure) -> None:
        """Write the item's outcome, and that of the pages it expands into."""
        writer = self._open()
        if isinstance(result, Payload):
            row, meta = updated(row, result.updates), result.meta
            try:
                self._accept(writer, row, meta, result.data)
            except Rejected as rejection:
                result = Failure(rejection.reason, rejection.detail, meta)
            except MemoryError:
                detail = "decoding it needs more than `ingest.memory_limit`"
                result = Failure(Reason.OUT_OF_MEMORY, detail, meta)
        if isinstance(result, Failure):
            writer.add_row(failed(row, result, run=self._job.run, at=now()))
        self._has_settled(row, writer)

    def _has_settled(self, row: Row, writer: SegmentWriter) -> None:
        """Finish the segment if that is due."""
        self._settled.append(row["item_id"])
        limits = self._job.ingest
        if (
            writer.items >= limits.segment_items
            or writer.size >= limits.segment_bytes
            or time.monotonic() - writer.opened >= limits.commit_seconds
        ):
            self.flush()

    def flush(self) -> None:
        """Finish the segment, if one is begun, and hand it over."""
        if self._writer is not None:
            writer, settled = self._writer, self._settled
            self._writer, self._settled = None, []
            self._emit(writer.close(), settled)

    def abandon(self) -> None:
        """Leave nothing behind."""
        if self._writer is not None:
            self._writer.abandon()

    def _open(self) -> SegmentWriter:
        if self._writer is None:
            self._writer = self._begin(self.kind)
        return self._writer

    def _begin(self, kind: str) -> SegmentWriter:
        return SegmentWriter(
            self._job.context.workspace.store / self._task.source.name,
            source=self._task.source.name,
            kind=kind,
            run=self._job.run,
            schema=self._job.schema,
        )

    def _accept(self, writer: SegmentWriter, row: Row, meta: Mapping[str, Any], data: bytes) -> None:
        if media_type(data[:SNIFFED]) == "application/pdf":
            self._expand(writer, {**row, "meta": merged_meta(row, meta)}, data)
        else:
            self._add(writer, row, meta, normalize(data, self._job.media.image))

    def _add(self, writer: SegmentWriter, row: Row, meta: Mapping[str, Any], image: NormalizedImage) -> None:
        row = ready(row, image, meta, run=self._job.run)
        writer.add_sample(row, image.data, image.extension, sidecar(row))

    def _expand(self, writer: SegmentWriter, row: Row, data: bytes) -> None:
        """A document: its bytes go to the cache, its pages become items that wait to be read."""
        digest = keep(self._job.context.workspace, data)
        at = now()
        document = as_item(row)
        pages = expand(self._job.context.workspace.cached(digest), document, self._job.media.pdf)
        run = self._job.run
        rows = [
            announce(page, ordinal=row["ordinal"], license=row["license"], run=run, at=at) for page in pages
        ]
        for page_row in rows:  # all of them, or none
            writer.add_row(page_row)
        writer.add_row(
            {
                **row,
                "status": Status.EXPANDED,
                "media_type": "application/pdf",
                "original_sha256": digest,
                "bytes": len(data),
                "attempts": row["attempts"] + 1,
                "meta": merged_meta(row, {"pages": len(pages)}),
                "run": run,
                "updated_at": at,
            }
        )


class _Refreshed(_Output):
    """Settles ready items again, but only with a new image; whatever else comes, they keep theirs.

    What publishers say by now of such use is noted in any case.
    """

    kind = "refresh"

    def __init__(self, task: Task, job: Job, emit: Emit, tell: Tell) -> None:
        super().__init__(task, job, emit)
        self._tell = tell
        self._kept: Counter[str] = Counter()
        self._told = time.monotonic()
        self._amendments: SegmentWriter | None = None

    def flush(self) -> None:
        """Finish the segments, and tell what was not told yet."""
        super().flush()
        if self._amendments is not None:
            writer, self._amendments = self._amendments, None
            self._emit(writer.close(), [])
        self._say()

    def abandon(self) -> None:
        """Leave nothing behind."""
        super().abandon()
        if self._amendments is not None:
            self._amendments.abandon()

    def _amend(self, row: Row, meta: Mapping[str, Any]) -> None:
        """The item stays as it is, but for its evidence."""
        if self._amendments is None:
            self._amendments = self._begin("amend")
        run = self._job.run
        self._amendments.add_row({**row, "meta": merged_meta(row, meta), "run": run, "updated_at": now()})

    def _keep(self, why: str) -> None:
        self._kept[why] += 1
        if time.monotonic() - self._told >= TELL_SECONDS:
            self._say()

    def _say(self) -> None:
        self._tell(self._kept)
        self._kept = Counter()
        self._told = time.monotonic()

    def settle(self, row: Row, result: Payload | Failure) -> None:
        """Write the item's outcome if its source has another image now."""
        if isinstance(result, Failure):
            if "opt_outs" in result.meta:  # its publisher objects by now: samples will hear of it
                self._amend(row, result.meta)
            self._keep(result.reason)
            return
        if hashlib.sha256(result.data).hexdigest() == row["original_sha256"]:
            said = {"opt_outs": [], **result.meta}
            if said["opt_outs"] != parse(row["meta"]).get("opt_outs", []):
                self._amend(row, said)
            self._keep("unchanged")
            return
        try:
            image = normalize(result.data, self._job.media.image)
        except Rejected as rejection:
            self._keep(rejection.reason)
            return
        except MemoryError:
            self._keep(Reason.OUT_OF_MEMORY)
            return
        writer = self._open()
        self._add(writer, updated(row, result.updates), result.meta, image)
        self._has_settled(row, writer)


def ready(row: Row, image: NormalizedImage, meta: Mapping[str, Any], *, run: str) -> Row:
    """The row of an item whose image is normalized, `meta` being what reading it told.

    Its place in the segment is filled by the writer.
    """
    return {
        **row,
        "status": Status.READY,
        "media_type": image.media_type,
        "sha256": image.sha256,
        "original_sha256": image.original_sha256,
        "dhash": image.dhash,
        "width": image.width,
        "height": image.height,
        "bytes": len(image.data),
        "attempts": row["attempts"] + 1,
        "meta": merged_meta(row, {**meta, **image.meta}),
        "reason": None,
        "detail": None,
        "run": run,
        "updated_at": now(),
    }
