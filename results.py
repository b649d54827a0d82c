"""Defines the results of the methods of `Project`. All are immutable; those of a dry run are forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from .core.errors import DerlemError

if TYPE_CHECKING:
    from .catalog.audit import AuditResult
    from .core.progress import SourceSteps
    from .corpus.export import Exported as Exported
    from .corpus.release import StoredCorpus as StoredCorpus
    from .pipeline.incidents import FailedItems
    from .pipeline.stages import SourceListing
    from .sampling.diff import ManifestDiff as ManifestDiff
    from .sampling.plan import Plan as Plan


@dataclass(frozen=True, slots=True)
class InitResult:
    """`derlem.init`: the path of the starting configuration."""

    dry_run: bool
    path: Path


@dataclass(frozen=True, slots=True)
class DiscoverResult:
    """`Project.discover`: the listing of each source."""

    dry_run: bool
    sources: tuple[SourceListing, ...]

    @property
    def errors(self) -> tuple[DerlemError, ...]:
        """Errors that ended the listing of a source early; the items listed before are kept."""
        return tuple(source.error for source in self.sources if source.error is not None)


@dataclass(frozen=True, slots=True)
class IngestResult:
    """`Project.ingest`.

    `pending` counts the items to read when it began, by source; `statuses` the outcomes, PDF pages included
    (empty in a dry run), `bytes` the stored images.
    """

    dry_run: bool
    pending: Mapping[str, int]
    statuses: Mapping[str, int]
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class RefreshResult:
    """`Project.refresh`.

    `ready` counts the items to request again, by source; `new` counts the images that changed, and `kept` the
    unchanged items by cause (`unchanged`, or a reason code).
    """

    dry_run: bool
    ready: Mapping[str, int]
    new: int
    kept: Mapping[str, int]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RetryResult:
    """`Project.retry`: failed items that were re-queued."""

    dry_run: bool
    items: int


@dataclass(frozen=True, slots=True)
class SampleResult:
    """`Project.sample`: the plan, and the stored sample.

    `fingerprint` identifies the selection (None in a dry run); `changed` is False if the same sample was
    already stored. `why` is the difference to the earlier sample that it replaced, '' if there was none.
    """

    dry_run: bool
    plan: Plan
    selected: int
    fingerprint: str | None
    changed: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class BuildResult:
    """`Project.build`: a corpus. `bytes` is the size of all shards, in a dry run an estimate.

    `rewritten` counts the shards that were written; the other shards were complete.
    """

    dry_run: bool
    name: str
    folder: Path
    samples: int
    shards: int
    rewritten: int
    bytes: int


@dataclass(frozen=True, slots=True)
class PublishResult:
    """`Project.publish`: `unchanged` of the `files` were in the repository; in a dry run, `commit` is ''."""

    dry_run: bool
    name: str
    url: str
    files: int
    bytes: int
    unchanged: int = 0
    commit: str = ""
    private: bool = True


@dataclass(frozen=True, slots=True)
class AuditReport:
    """`Project.audit`: the result of every audit, by name."""

    results: tuple[AuditResult, ...]

    @property
    def failed(self) -> bool:
        """Whether an audit of severity `error` has rows."""
        return any(result.failed for result in self.results)

    @property
    def findings(self) -> tuple[AuditResult, ...]:
        """The audits that have rows, warnings included."""
        return tuple(result for result in self.results if result.count)


@dataclass(frozen=True, slots=True)
class RunResult:
    """`Project.run`: the results of its stages; None for a stage that did not run.

    Without a `sample` section, `run` ends after ingest. In a dry run, `ingest` counts the items that are
    pending before discovery. `requeued` counts failed items that were due for another attempt, and `left` the
    failed items of later runs, by source and reason. `released` is True if the corpus is released and was
    audited only.
    """

    dry_run: bool
    discover: DiscoverResult
    refresh: RefreshResult | None = None
    ingest: IngestResult | None = None
    sample: SampleResult | None = None
    build: BuildResult | None = None
    audit: AuditReport | None = None
    requeued: int = 0
    left: tuple[FailedItems, ...] = ()
    released: bool = False

    @property
    def errors(self) -> tuple[DerlemError, ...]:
        """Errors that ended the listing of a source early."""
        return self.discover.errors

    @property
    def ok(self) -> bool:
        """Whether every source was listed completely and no audit failed."""
        return not self.errors and not (self.audit is not None and self.audit.failed)


@dataclass(frozen=True, slots=True)
class CorpusChange:
    """The changes of a withdrawal in one corpus.

    `gone` counts the withdrawn samples; `redrawn` is True if the sample was drawn again after the build.
    `shards` and `rewritten` are None for a sample that was not built.
    """

    name: str
    gone: int
    redrawn: bool
    shards: int | None
    rewritten: int | None


@dataclass(frozen=True, slots=True)
class WithdrawResult:
    """`Project.withdraw`: items withdrawn and purged, by source, and the corpora that changed.

    `copies` counts those of `withdrawn` outside the selection that have the same bytes as an item in it.
    In a dry run `purged` counts items of earlier withdrawals, under the key ''.
    """

    dry_run: bool
    selection: str | None
    withdrawn: Mapping[str, int]
    purged: Mapping[str, int]
    corpora: tuple[CorpusChange, ...] = ()
    copies: int = 0


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The running or last run. `state` is running, done, failed, interrupted or killed; times are UTC.

    `counts` are outcomes by stage, `rejections` the last rejected items, and `error` is what ended the run.
    `done` of `total` steps of the stage are done (None: unknown), at `rate` per second in the last minute.
    """

    run: str
    command: str
    state: str
    stage: str
    counts: Mapping[str, Mapping[str, int]]
    started_at: str
    finished_at: str | None
    host: str
    pid: int
    error: str | None = None
    done: int = 0
    total: int | None = None
    rate: float = 0.0
    sources: Mapping[str, SourceSteps] = field(default_factory=dict)
    rejections: Sequence[str] = ()
    last_commit: str | None = None
    updated_at: str = ""

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end of the stage at the present rate; None if unknown."""
        if self.state != "running" or self.total is None or self.rate <= 0:
            return None
        return max(self.total - self.done, 0) / self.rate


@dataclass(frozen=True, slots=True)
class PausedHost:
    """A paused host: the reason code, and the time of the next request; times are UTC."""

    host: str
    reason: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class SourceProgress:
    """The items of one source by status: `discovered` is the sum of the other counts."""

    source: str
    discovered: int
    pending: int
    ready: int
    expanded: int
    rejected: int
    failed: int
    withdrawn: int
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class StatusResult:
    """`Project.status`: the last run, if there was one, the progress of every source, and what waits.

    `waiting` are the items that wait for another attempt, by source, host and reason.
    """

    run: RunStatus | None
    sources: tuple[SourceProgress, ...]
    waiting: tuple[FailedItems, ...] = ()


@dataclass(frozen=True, slots=True)
class SyncPushResult:
    """`Project.sync_push`: files and bytes that were uploaded, and the last commit of the copy.

    `snapshot` is True if a copy of the catalog was pushed, too. In a dry run, files and bytes are those of
    segments.
    """

    dry_run: bool
    files: int
    bytes: int
    commit: int
    snapshot: bool


@dataclass(frozen=True, slots=True)
class SyncPullResult:
    """`Project.sync_pull`: files and bytes that were downloaded, and the commit that the workspace holds now.

    `restored` names an earlier state, such as `run 2026...`; None for the newest. `snapshot_commit` is the
    commit of the catalog's copy that was restored; None if the catalog was kept or built from segments.
    """

    dry_run: bool
    files: int
    bytes: int
    commit: int
    restored: str | None = None
    snapshot_commit: int | None = None


@dataclass(frozen=True, slots=True)
class SyncStatusResult:
    """`Project.sync_status`: workspace and copy compared by their segment files.

    `commit` is the last commit of the copy, `held` the last one that the workspace holds. `lag` is the age in
    seconds of the oldest file that is not pushed; None if there is none. `pushed_at` is None before the first
    push, `holder` None if no instance works.
    """

    url: str
    commit: int
    held: int
    pushed_at: datetime | None
    pushed_by: str | None
    equal: int
    local_only: tuple[str, ...]
    remote_only: tuple[str, ...]
    differing: tuple[str, ...]
    lag: float | None
    snapshots: tuple[int, ...]
    holder: Mapping[str, object] | None
    restored: str | None


@dataclass(frozen=True, slots=True)
class CompactResult:
    """`Project.catalog.compact`: size of the catalog file in bytes; `after` is None in a dry run."""

    dry_run: bool
    before: int
    after: int | None


@dataclass(frozen=True, slots=True)
class RebuildResult:
    """`Project.catalog.rebuild`: segments read, and items in the catalog (None in a dry run)."""

    dry_run: bool
    segments: int
    items: int | None


@dataclass(frozen=True, slots=True)
class RepairResult:
    """`Project.catalog.repair`: lost segments, and the numbers of items with lost images, by source.

    These items are re-queued. `rebuilt` is True if the catalog was unreadable and was rebuilt without the
    segments.
    """

    dry_run: bool
    segments: tuple[str, ...]
    images: Mapping[str, int]
    rebuilt: bool


@dataclass(frozen=True, slots=True)
class MigrateResult:
    """`Project.catalog.migrate`: schema versions."""

    dry_run: bool
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class ManifestSummary:
    """A stored manifest: rows drawn (`selected`) for a `target`; shards and their bytes, 0 if not built."""

    corpus: str
    seed: int
    target: int
    selected: int
    fingerprint: str
    drawn_at: datetime
    shards: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in the catalog; times are UTC."""

    run: str
    command: str
    version: str
    started_at: datetime
    finished_at: datetime | None
    state: str
