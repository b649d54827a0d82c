"""The Python interface: a `Project` is a configuration with its workspace, and has one method per command.

Only this module, `execution` and `exploration` import all rooms. Each method imports the rooms that it needs,
so that a query of the catalog loads no decoder. No function prints or changes the process: signals, logging
and garbage collection belong to the application.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import results
from .catalog_maintenance import CatalogMaintenance
from .core.errors import CatalogMissing, ConfigError
from .core.progress import Progress, Silent
from .core.suggest import did_you_mean
from .core.workspace import Workspace
from .execution import Execution
from .monitoring import MonitoringMethods
from .publishing import PublishingMethods
from .settings.documents import Document, document_from, read_documents
from .sync import SyncMethods

if TYPE_CHECKING:
    import pyarrow as pa

    from .catalog.items import CatalogItem
    from .catalog.user_queries import Rows
    from .report.page import Report
    from .report.training_summary import TrainingSummary
    from .sampling.diff import ManifestDiff
    from .sampling.plan import Plan
    from .settings.config import Config

logging.getLogger("derlem").addHandler(logging.NullHandler())  # the application configures logging


def open(
    *files: str | PathLike[str],
    overrides: Iterable[str] = (),
    test_mode: bool = False,
    progress: Progress | None = None,
    command: str | None = None,
    warm_up: bool = False,
    wait: float = 0.0,
) -> Project:
    """Open the project of configuration files (without any, `derlem.yaml`), merged from left to right.

    `overrides` are `KEY=VALUE` strings. `test_mode` processes a few items per source in a separate workspace.
    `command` is recorded as the command of runs. `wait` are the seconds that a method waits for the end of
    another instance. `warm_up` starts the parent of the worker processes before the configuration is checked,
    for a program that ingests at once. Raises ConfigError, with file, line and
    key, for anything wrong with the configuration.
    """
    document = read_documents(map(Path, files), overrides)
    if warm_up:
        from .pipeline.executors.fork_server import warm_up as start_server

        start_server(document.adapters)
    return Project(document, test_mode=test_mode, progress=progress, command=command, wait=wait)


class Project(MonitoringMethods, PublishingMethods, SyncMethods):
    """A configuration and its workspace.

    Methods that change the workspace hold its lock (InstanceRunning if another process does), and with
    `dry_run=True` write nothing anywhere. All raise subclasses of DerlemError.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | Document,
        *,
        base: str | PathLike[str] | None = None,
        test_mode: bool = False,
        progress: Progress | None = None,
        command: str | None = None,
        wait: float = 0.0,
    ) -> None:
        """A project of a mapping, whose relative paths are resolved against `base` (default: the working
        directory). For the other arguments, and errors, see `open`."""
        from .settings.load import validated

        if not isinstance(config, Document):
            config = document_from(config, Path(base) if base is not None else Path.cwd())
        loaded = validated(config)
        self.config: Config = loaded.config
        self.progress: Progress = progress or Silent()
        root = Path(loaded.config.workspace)
        root = root.with_name(f"{root.name}-test") if test_mode else root
        self.workspace = Workspace(root, loaded.config.catalog.memory_limit)
        self.test_mode = test_mode
        self._execution = Execution(loaded, self.workspace, self.progress, command, test_mode, wait)
        self.catalog = CatalogMaintenance(self._execution)

    def __repr__(self) -> str:
        return f"Project({str(self.workspace.root)!r}, {len(self.config.sources)} sources)"

    # -- stages ---------------------------------------------------------------------------------------------

    def run(self, *, refresh: bool = False, dry_run: bool = False) -> results.RunResult:
        """Discover, ingest, sample, build and audit; each stage completes the work of earlier runs.

        Items that failed for a transient reason are read again when they are due (`ingest.retry_after`).
        With `refresh`, stored items are fetched again first. Without a `sample` section the run ends after
        ingest. A released corpus of the configured name is only audited; CorpusReleased if the options of its
        sample changed. InfeasibleQuotas, before any work, for quotas that contradict each other.
        """
        from .pipeline import stages
        from .sampling.static_checks import check_quotas

        sources, options = self._execution.sources(()), self._execution.sample_options
        if options is not None:
            check_quotas(options)
        if dry_run:
            try:
                pending = self.ingest(dry_run=True)
            except CatalogMissing:
                pending = None
            return results.RunResult(True, self.discover(dry_run=True), ingest=pending)
        refreshed = sample = build = audit = None
        with self._execution.lock("run"):
            released = options is not None and self._execution.is_released(options)
            listings = self._execution.listings(sources)
            with self._execution.start("run") as scope:
                discovered = self._execution.discover(scope, listings)
                if refresh:
                    refreshed = self._execution.refresh(scope, stages.refreshable(sources))
                requeued = self._execution.requeue_due(scope, sources)
                ingested = self._execution.ingest(scope, sources)
                left = self._execution.left_failed(sources)
                if options is not None and not released:
                    sample = self._execution.sample(scope, options, keep_extension=True)
                    build = self._execution.build(scope, options.name)
        if options is not None:
            audit = self.audit()
        return results.RunResult(
            False, discovered, refreshed, ingested, sample, build, audit, requeued, left, released
        )

    def discover(self, *sources: str, dry_run: bool = False) -> results.DiscoverResult:
        """List sources (default: all) into the catalog.

        The result contains the errors of failed listings; the other sources are listed completely.
        """
        chosen = self._execution.sources(sources)
        if dry_run:
            return self._execution.check(chosen)
        with self._execution.lock("discover"):
            listings = self._execution.listings(chosen)
            with self._execution.start("discover") as scope:
                return self._execution.discover(scope, listings)

    def ingest(self, *sources: str, dry_run: bool = False) -> results.IngestResult:
        """Read, normalize and store the pending items of sources (default: all)."""
        from .catalog.status import Status

        chosen = self._execution.sources(sources)
        if dry_run:
            return results.IngestResult(True, self._execution.count(chosen, Status.DISCOVERED), {})
        with self._execution.lock("ingest"), self._execution.start("ingest") as scope:
            return self._execution.ingest(scope, chosen)

    def refresh(self, *sources: str, dry_run: bool = False) -> results.RefreshResult:
        """Fetch stored items of sources again, conditionally, and store the images that changed.

        An item keeps its image until there is a new one. ConfigError for a source that is not fetched.
        """
        from .catalog.status import Status
        from .pipeline import stages

        chosen = stages.refreshable(self._execution.sources(sources))
        if local := sorted(set(sources) - {source.name for source in chosen}):
            raise ConfigError(f"{local[0]!r} is not fetched by URL: it cannot be refreshed")
        if dry_run:
            return results.RefreshResult(True, self._execution.count(chosen, Status.READY), 0, {})
        with self._execution.lock("refresh"), self._execution.start("refresh") as scope:
            return self._execution.refresh(scope, chosen)

    def retry(self, *sources: str, reason: str | None = None, dry_run: bool = False) -> results.RetryResult:
        """Re-queue the failed items of sources, of one reason code if given; rejections are final."""
        from .catalog.status import Reason
        from .pipeline.ingest import count_retryable, retry

        names = [source.name for source in self._execution.sources(sources)]
        if reason is not None and reason not in set(Reason):
            raise ConfigError(f"there is no reason {reason!r}{did_you_mean(reason, Reason)}")
        only = Reason(reason) if reason is not None else None
        if dry_run:
            return results.RetryResult(True, count_retryable(names, self.workspace, reason=only))
        with self._execution.lock("retry"), self._execution.start("retry") as scope:
            return results.RetryResult(False, retry(names, scope.store, run=scope.run, reason=only))

    # -- samples and corpora --------------------------------------------------------------------------------

    def plan(self, *, extend: str | None = None) -> Plan:
        """The allocation of the configured sample; `extend` replaces `sample.extend`."""
        from .catalog.connection import read_catalog
        from .sampling.plan import plan_sample

        options = self._execution.configured_sample(extend)
        with read_catalog(self.workspace) as connection:
            return plan_sample(connection, options, fingerprints=self._execution.fingerprinter(keep=False))

    def sample(self, *, extend: str | None = None, dry_run: bool = False) -> results.SampleResult:
        """Draw and store the configured sample; `extend` replaces `sample.extend`.

        With either, the valid part of a stored sample's selection stays.
        """
        options = self._execution.configured_sample(extend)
        if dry_run:
            self._execution.check_unreleased(options.name)
            plan = self.plan(extend=extend)
            return results.SampleResult(True, plan, plan.total, None, True)
        with self._execution.lock("sample"), self._execution.start("sample") as scope:
            return self._execution.sample(scope, options)

    def diff(self, a: str, b: str) -> ManifestDiff:
        """Compare two stored manifests."""
        from .catalog.connection import read_catalog
        from .sampling.diff import diff_manifests

        with read_catalog(self.workspace) as connection:
            return diff_manifests(connection, a, b)

    def build(self, name: str | None = None, *, dry_run: bool = False) -> results.BuildResult:
        """Write the stored sample `name` (default: the configured one) as a corpus."""
        if name is None and self._execution.sample_options is None:
            raise ConfigError("no sample is configured: name a stored one", key="sample")
        chosen = name or self._execution.configured_sample().name
        if not dry_run:
            with self._execution.lock("build"), self._execution.start("build") as scope:
                return self._execution.build(scope, chosen)
        from .catalog.connection import read_catalog
        from .corpus.layout import CorpusFolder
        from .corpus.plan import plan_build

        self._execution.check_unreleased(chosen)
        with read_catalog(self.workspace) as connection:
            plan = plan_build(connection, self.workspace, chosen, self.config.corpus)
        folder = CorpusFolder(self.workspace, chosen).root
        return results.BuildResult(True, chosen, folder, plan.samples, plan.shards, 0, plan.bytes)

    def release(self, name: str, *, dry_run: bool = False) -> results.StoredCorpus:
        """Freeze a complete corpus; its manifest and files stay, and only takedowns change them.

        Every shard is read and compared with its hash. CorpusReleased follows for a draw or build under the
        name. Raises UnknownManifest and NotReleasable.
        """
        from .corpus.release import check_releasable, release_corpus

        if dry_run:
            return check_releasable(self.workspace, name)
        with self._execution.lock("release"), self._execution.start("release"):
            return release_corpus(self.workspace, name)

    def drop(self, name: str, *, dry_run: bool = False) -> results.StoredCorpus:
        """Remove a stored sample and its corpus, released or not; UnknownManifest if there is neither."""
        from .corpus.release import drop_corpus, find_corpus

        if dry_run:
            return find_corpus(self.workspace, name)
        with self._execution.lock("drop"), self._execution.start("drop"):
            return drop_corpus(self.workspace, name)

    def audit(self, *, deep: bool = False, dry_run: bool = False) -> results.AuditReport:
        """Run all audits over the catalog and the bytes of the shards; with `deep` also of the store.

        The result is kept for reports, but for a dry run.
        """
        from .reporting import run_audits

        return run_audits(self._execution, deep=deep, keep=not dry_run)

    def withdraw(
        self,
        *,
        source: str | None = None,
        key: str | None = None,
        where: str | None = None,
        purge: bool = False,
        dry_run: bool = False,
    ) -> results.WithdrawResult:
        """Withdraw the items of a source, a sample's key or a predicate, also from manifests and corpora.

        With `purge` the bytes and texts of all withdrawn items are erased from store and cache; `purge` alone
        erases the items of earlier withdrawals.
        """
        from .corpus.layout import parse_key
        from .pipeline import withdraw as withdrawal
        from .pipeline.purge import find_purgeable
        from .pipeline.purge import purge as erase
        from .pipeline.run import write_provenance

        if key is not None and (parsed := parse_key(key)):
            key = parsed[0]  # the key of a repeat also identifies the item
        selection = None
        if not purge or (source, key, where) != (None, None, None):
            selection = withdrawal.Selection(source, key, where)
        label = None if selection is None else str(selection)
        if dry_run:
            chosen, copies = withdrawal.count(self.workspace, selection) if selection else ({}, 0)
            before = {"": find_purgeable(self.workspace, "").num_rows} if purge else {}
            return results.WithdrawResult(True, label, chosen, before, copies=copies)
        with self._execution.lock("withdraw"), self._execution.start("withdraw") as scope:
            scope.state.enter("withdraw")
            counts, copies = withdrawal.withdraw(scope.store, selection, scope.run) if selection else ({}, 0)
            changes = self._execution.withdraw_from_corpora(scope)
            purged = erase(scope.store, scope.run) if purge else {}
            write_provenance(self.workspace)
        return results.WithdrawResult(False, label, counts, purged, changes, copies)

    # -- questions ------------------------------------------------------------------------------------------

    def sql(self, query: str) -> pa.Table:
        """The result of one statement as an Arrow table. The statement can read the catalog only."""
        from .catalog.user_queries import fetch_table

        return fetch_table(self.workspace, query)

    def rows(self, query: str) -> Rows:
        """The result of one statement as column names and rows of Python values; does not import Arrow."""
        from .catalog.user_queries import fetch_rows

        return fetch_rows(self.workspace, query)

    def write_parquet(self, query: str, path: str | PathLike[str]) -> int:
        """Write the result of one statement as a Parquet file, replacing `path`; the number of rows."""
        from .catalog.user_queries import write_parquet

        return write_parquet(self.workspace, query, Path(path))

    def report(self, corpus: str | None = None, *, compare: str | None = None) -> Report:
        """The report on a stored manifest (default: the one drawn last; without any, all ready items).

        `compare` is another manifest. Raises UnknownManifest, and MissingExtra without Jinja2.
        """
        from .reporting import write_report

        return write_report(self.workspace, corpus, compare)

    def training_summary(self, corpus: str | None = None) -> TrainingSummary:
        """The public summary of training content of a stored manifest (default: the one drawn last), as
        Article 53(1)(d) of the AI Act asks for it. Raises UnknownManifest."""
        from .reporting import summarize_training

        return summarize_training(self.workspace, corpus)

    def items(
        self,
        *,
        source: str | None = None,
        status: str | None = None,
        category: str | None = None,
        where: str | None = None,
        limit: int | None = None,
    ) -> Iterator[CatalogItem]:
        """Items as typed rows with `.image()` and `.provenance()`, by source and order of discovery.

        `category` includes the categories below it, `where` is an SQL predicate over the table `items`.
        """
        from .catalog.items import read_items

        return read_items(
            self.workspace, source=source, status=status, category=category, where=where, limit=limit
        )
