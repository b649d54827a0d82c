"""Runs a task in a worker: reads items through their adapter, records each outcome, writes segments.

The result depends on the task and the job only. A worker has no access to the catalog or to other tasks.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..adapters.base import Adapter
from ..catalog.models import Failure, Item, Payload, now
from ..catalog.status import Reason
from ..core.errors import DerlemError
from ..media.convert import convert
from ..media.pdf import Document, read_pages
from ..storage.cache import keep
from .outcomes import (
    WORKER_LOST,
    announce,
    apply_updates,
    drop_image,
    is_stored,
    is_unchanged,
    keep_image,
    make_expanded,
    make_failed,
    make_ready,
)
from .segment_writer import SegmentWriter
from .tasks import Emit, Guard, Job, Report, Task, read_plan

REPORT_SECONDS = 3.0
"""Seconds between two reports of a refresh."""

log = logging.getLogger("derlem.pipeline")


def ingest_task(task: Task, job: Job, guard: Guard, emit: Emit, report: Report) -> None:
    """Record the outcome of every item of the task; pass segments to `emit` when a size or time is reached.

    Outcomes recorded before an unexpected error are also emitted, so that their items are not read again.
    For a refresh, `report` receives the numbers of unchanged items: `unchanged`, or by reason of the failure.
    """
    recorder = _Refresher(task, job, emit, report) if task.refresh else _Recorder(task, job, emit)
    try:
        for row, item, result in _results(task, job, guard):
            guard.begin(item.item_id)
            recorder.record(row, item, result)
            guard.waiting()
            if guard.ending:  # before the adapter is closed, which may take long
                recorder.flush()
                return
        recorder.flush()
    except (DerlemError, KeyboardInterrupt, SystemExit):  # the run ends, possibly because the disk is full
        recorder.abandon()
        raise
    except Exception:
        recorder.flush()
        raise


def _results(task: Task, job: Job, guard: Guard) -> Iterator[tuple[int, Item, Payload | Failure]]:
    """Each row and item with its payload or failure: a recorded failure where a worker was lost."""
    guard.waiting()
    in_flight: dict[str, tuple[int, Item]] = {}
    unread: list[tuple[int, Item, Failure]] = []

    def items() -> Iterator[Item]:
        for row, item in read_plan(task):
            reason = task.task_failure or task.crashed.get(item.item_id)
            if reason is None:
                in_flight[item.item_id] = row, item
                yield item
            else:
                unread.append((row, item, Failure(reason, WORKER_LOST.get(reason, ""))))

    if task.pages:
        results = read_pages(job.context.workspace, job.media.pdf, items())
    else:
        adapter: Adapter[Any] = job.adapters[task.source.name](job.context)
        results = adapter.read(task.source, items())
    for item_id, result in results:
        yield *in_flight.pop(item_id), result
        while unread:
            yield unread.pop()
    yield from unread
    if in_flight:
        raise RuntimeError(
            f"the {task.source.adapter} adapter returned no result for {len(in_flight)} items, "
            f"such as {next(iter(in_flight))}"
        )


class _Recorder:
    """Records outcomes in the open segments of a task."""

    kind = "ingest"

    def __init__(self, task: Task, job: Job, emit: Emit) -> None:
        self._task, self._job, self._emit = task, job, emit
        self._writer: SegmentWriter | None = None
        self._recorded: list[int] = []
        self._amendments: SegmentWriter | None = None
        self._amended: list[int] = []
        self._options = job.options[task.source.name]

    def record(self, row: int, item: Item, result: Payload | Failure) -> None:
        """Write the item's outcome, and for a document the items of its pages."""
        run = self._job.run
        if isinstance(result, Payload):
            apply_updates(item, result.updates)
            item.meta = {**item.meta, **result.meta}
            if result.revision is not None:
                item.revision = result.revision
            if is_stored(item, result):
                keep_image(item, run)
                self._set_options_hash(item)
                self._amended.append(row)
                self._flush_if_due(self._amend(item))
                return
        drop_image(item)
        writer = self._open()
        if isinstance(result, Payload):
            outcome = convert(result, item, self._job.media)
            if isinstance(outcome, Document):
                self._add_document(writer, item, result.data, outcome)
            elif isinstance(outcome, Failure):
                result = outcome
            else:
                make_ready(item, outcome, run)
                self._set_options_hash(item)
                writer.add_images(item, [(image.data, image.extension) for image in outcome])
        if isinstance(result, Failure):
            make_failed(item, result, run)
            self._set_options_hash(item)
            writer.add(item)
        self._recorded.append(row)
        self._flush_if_due(writer)

    def flush(self) -> None:
        """Complete and emit the open segments."""
        if self._writer is not None:
            writer, recorded = self._writer, self._recorded
            self._writer, self._recorded = None, []
            self._emit(writer.close(), recorded)
        if self._amendments is not None:
            writer, recorded = self._amendments, self._amended
            self._amendments, self._amended = None, []
            self._emit(writer.close(), recorded)

    def abandon(self) -> None:
        """Remove the open segments."""
        for writer in (self._writer, self._amendments):
            if writer is not None:
                writer.abandon()

    def _amend(self, item: Item) -> SegmentWriter:
        """Write the row of an item that keeps its stored image."""
        if self._amendments is None:
            self._amendments = self._segment("amend")
        self._amendments.add(item)
        return self._amendments

    def _set_options_hash(self, item: Item) -> None:
        item.options_hash = self._options.of(item.status, item.reason, item.document_sha256 is not None)

    def _flush_if_due(self, writer: SegmentWriter) -> None:
        limits = self._job.ingest
        if (
            writer.items >= limits.segment_items
            or writer.size >= limits.segment_bytes
            or time.monotonic() - writer.opened >= limits.commit_seconds
        ):
            self.flush()

    def _open(self) -> SegmentWriter:
        if self._writer is None:
            self._writer = self._segment(self.kind)
        return self._writer

    def _segment(self, kind: str) -> SegmentWriter:
        source = self._task.source.name
        folder = self._job.context.workspace.store / source
        return SegmentWriter(folder, source=source, kind=kind, run=self._job.run, schema=self._job.schema)

    def _add_document(self, writer: SegmentWriter, item: Item, data: bytes, document: Document) -> None:
        """Write items for a document's pages; keep its bytes in the cache, from which the pages are read."""
        keep(self._job.context.workspace, data)
        at, run = now(), self._job.run
        for page in document.pages:
            writer.add(announce(page, ordinal=item.ordinal, license=item.license, run=run, at=at))
        make_expanded(item, document.sha256, len(data), len(document.pages), run)
        self._set_options_hash(item)
        writer.add(item)


class _Refresher(_Recorder):
    """Records new images of ready items; an item keeps its image for any other result.

    A change of the publisher's opt-out signals is always recorded.
    """

    kind = "refresh"

    def __init__(self, task: Task, job: Job, emit: Emit, report: Report) -> None:
        super().__init__(task, job, emit)
        self._report = report
        self._kept: Counter[str] = Counter()
        self._reported = time.monotonic()

    def record(self, row: int, item: Item, result: Payload | Failure) -> None:
        """Write the item's outcome if the image at its source changed."""
        if isinstance(result, Failure):
            if "opt_outs" in result.meta:  # recorded, so that later draws exclude the item
                self._add_evidence(item, result.meta)
            self._keep(result.reason)
            return
        if is_unchanged(item, result):
            evidence = {"opt_outs": [], **result.meta}
            if evidence["opt_outs"] != item.meta.get("opt_outs", []):
                self._add_evidence(item, evidence)
            self._keep("unchanged")
            return
        outcome = convert(result, item, self._job.media)
        if not isinstance(outcome, Document | Failure):
            apply_updates(item, result.updates)
            item.meta = {**item.meta, **result.meta}
            make_ready(item, outcome, self._job.run)
            self._set_options_hash(item)
            writer = self._open()
            writer.add_images(item, [(image.data, image.extension) for image in outcome])
            self._recorded.append(row)
            self._flush_if_due(writer)
        else:
            self._keep(outcome.reason if isinstance(outcome, Failure) else Reason.NOT_IMAGE)

    def flush(self) -> None:
        """Complete the segments and report the remaining counts."""
        super().flush()
        self._report_kept()

    def _add_evidence(self, item: Item, meta: Mapping[str, Any]) -> None:
        """Write an item whose evidence changed and whose image stays."""
        item.meta = {**item.meta, **meta}
        item.run, item.updated_at = self._job.run, now()
        self._amend(item)

    def _keep(self, cause: str) -> None:
        self._kept[cause] += 1
        if time.monotonic() - self._reported >= REPORT_SECONDS:
            self._report_kept()

    def _report_kept(self) -> None:
        self._report(self._kept)
        self._kept = Counter()
        self._reported = time.monotonic()
