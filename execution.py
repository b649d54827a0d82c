"""Runs the stages of a project across rooms, within the lock and the record of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from . import results
from .core.errors import ConfigError
from .core.log_context import log_context
from .core.masking import mask_command
from .core.progress import Progress, meter
from .core.suggest import did_you_mean
from .core.workspace import Workspace

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from .adapters.base import Context, SourceOptions
    from .catalog.segment_files import Segment
    from .catalog.status import Status
    from .media.media_options import MediaOptions
    from .pipeline.discover import Listing
    from .pipeline.incidents import FailedItems
    from .pipeline.run import RunScope
    from .pipeline.stages import Declarations
    from .sampling.exclusion import Fingerprint, Fingerprinter
    from .sampling.sample_options import Exclusion, SampleOptions
    from .settings.load import Loaded
    from .storage.session import SyncSession
    from .storage.sync_options import SyncOptions

DEDUP_INDEX_AFTER = 100_000
"""Number of items in one ingest stage after which the stage refreshes the index of duplicates itself."""


@dataclass(frozen=True, slots=True)
class Execution:
    """Shared state of a project's stages, with one method per stage."""

    loaded: Loaded
    workspace: Workspace
    progress: Progress
    command: str | None
    test_mode: bool
    wait: float = 0.0
    sessions: list[SyncSession] = field(default_factory=list)
    """The session that pushes the commits of the running command, if `sync` is configured."""

    @property
    def context(self) -> Context:
        """The parts of the workspace and the configuration that adapters use."""
        from .adapters.base import Context

        return Context(self.workspace, self.loaded.config.fetch)

    @property
    def media(self) -> MediaOptions:
        """The form of images and PDF pages."""
        from .media.media_options import MediaOptions

        return MediaOptions(self.loaded.config.image, self.loaded.config.pdf)

    @property
    def declarations(self) -> Declarations:
        """The declared options on which the outcomes of items depend."""
        from .pipeline.stages import Declarations

        return Declarations(self.context, self.media, self.loaded.config.ingest)

    @property
    def limit(self) -> int | None:
        """Maximum number of items listed per source; None for no limit."""
        return self.loaded.config.test_mode.items if self.test_mode else None

    @property
    def sample_options(self) -> SampleOptions | None:
        """The `sample` section, or None; in test mode with a target that a few items can reach."""
        from .sampling.sample_options import for_trial

        options = self.loaded.config.sample
        if options is None or not self.test_mode:
            return options
        reachable = self.loaded.config.test_mode.items * len(self.loaded.config.sources)
        return for_trial(options, min(options.target, reachable))

    def configured_sample(self, extend: str | None = None) -> SampleOptions:
        """The `sample` section, with another `extend` if one is given; ConfigError if it is missing."""
        options = self.sample_options
        if options is None:
            raise ConfigError("no sample is configured", key="sample")
        return options if extend is None else options.model_copy(update={"extend": extend})

    def sources(self, names: Sequence[str]) -> list[SourceOptions]:
        """The named sources, or all; ConfigError for a name that is not declared."""
        declared = {source.name: source for source in self.loaded.config.sources}
        for name in names:
            if name not in declared:
                hint = did_you_mean(name, declared) or f" (declared: {', '.join(declared)})"
                raise ConfigError(f"no source is named {name!r}{hint}")
        return [declared[name] for name in names] if names else list(declared.values())

    @property
    def sync_options(self) -> SyncOptions | None:
        """The `sync` section, or None; None in test mode, whose workspace is not kept."""
        return None if self.test_mode else self.loaded.config.sync

    @contextmanager
    def lock(self, method: str) -> Iterator[None]:
        """The workspace's lock, and the lease of its copy, with a run id for log records.

        InstanceRunning if another process holds them. With `sync` configured, the workspace is first brought
        to the state of its copy, the commits of the block are pushed, and its end waits for the last push.
        """
        from .pipeline.lock import instance_lock
        from .pipeline.run import logging_errors
        from .pipeline.state import new_run_id

        command = self.recorded(method)
        with log_context(run=new_run_id()), ExitStack() as stack:
            with logging_errors():
                stack.enter_context(instance_lock(self.workspace, command, self.wait))
                if self.sync_options is not None:
                    session = stack.enter_context(self._syncing(self.sync_options, command))
                    self.sessions.append(session)
                    stack.callback(self.sessions.clear)
            yield

    def _syncing(self, options: SyncOptions, command: str) -> AbstractContextManager[SyncSession]:
        from .corpus.restore import restore_corpora
        from .pipeline.syncing import syncing

        return syncing(self.workspace, options, command, restore_corpora, self.wait)

    @contextmanager
    def start(self, method: str) -> Iterator[RunScope]:
        """A run under the lock; its end is recorded in every case."""
        from .pipeline.run import start_run

        config, session = self.loaded.config, next(iter(self.sessions), None)

        def committed(segments: Sequence[Segment]) -> None:
            if session is not None:
                session.committed(segment.name for segment in segments)

        with start_run(
            self.workspace,
            self.recorded(method),
            self.loaded.config_hash,
            config.ingest,
            self.progress,
            committed,
            keep=config.log.runs,
            days=config.log.days,
            metrics=Path(config.metrics) if config.metrics else None,
        ) as scope:
            if session is not None:
                session.begin(scope.run)
            yield scope

    def recorded(self, method: str) -> str:
        """The command that locks and runs name."""
        return mask_command(self.command or f"Project.{method}()")

    def count(self, sources: Sequence[SourceOptions], status: Status) -> dict[str, int]:
        """Items of a status, by source."""
        from .catalog.connection import read_catalog
        from .catalog.counts import count_items

        with read_catalog(self.workspace) as connection:
            return count_items(connection, [source.name for source in sources], status)

    def listings(self, sources: Sequence[SourceOptions]) -> list[Listing]:
        """Started listings; ConfigError for a wrong declaration, before any write."""
        from .pipeline.run import logging_errors
        from .pipeline.stages import checked_listings

        with logging_errors(), self.loaded.locating():
            return checked_listings(sources, self.context, self.limit)

    def check(self, sources: Sequence[SourceOptions]) -> results.DiscoverResult:
        """List sources and write nothing."""
        from .pipeline.stages import check_sources

        with self.loaded.locating():
            listed = check_sources(sources, self.declarations, self.limit, self.progress)
        return results.DiscoverResult(True, tuple(listed))

    def discover(self, scope: RunScope, listings: Sequence[Listing]) -> results.DiscoverResult:
        """Complete the listings."""
        from .pipeline.stages import run_discover

        return results.DiscoverResult(
            False, tuple(run_discover(scope, listings, self.loaded.declared, self.declarations))
        )

    def ingest(self, scope: RunScope, sources: Sequence[SourceOptions]) -> results.IngestResult:
        """Read and store pending items; after DEDUP_INDEX_AFTER items, refresh the index of duplicates."""
        from .catalog.connection import write_catalog
        from .pipeline.stages import run_ingest

        pending, counts = run_ingest(scope, sources, self.declarations)
        size = counts.pop("bytes", 0)
        if sum(counts.values()) >= DEDUP_INDEX_AFTER:
            from .sampling import dedup_index

            with write_catalog(self.workspace) as connection:
                dedup_index.refresh(connection)
        return results.IngestResult(False, pending, counts, size)

    def requeue_due(self, scope: RunScope, sources: Sequence[SourceOptions]) -> int:
        """Re-queue failed items whose next attempt is due."""
        from .pipeline.ingest import requeue_due

        names = [source.name for source in sources]
        return requeue_due(names, scope.store, self.loaded.config.ingest, run=scope.run)

    def left_failed(self, sources: Sequence[SourceOptions]) -> tuple[FailedItems, ...]:
        """Items that failed for a transient reason, with the times of their next attempts."""
        from .pipeline.incidents import left_failed

        config, names = self.loaded.config, [source.name for source in sources]
        return left_failed(names, self.workspace, config.ingest, config.fetch.max_pause)

    def refresh(self, scope: RunScope, sources: Sequence[SourceOptions]) -> results.RefreshResult:
        """Fetch stored items again."""
        from .pipeline.stages import run_refresh

        ready, new, kept = run_refresh(scope, sources, self.declarations)
        warnings = []
        if sources and not self.loaded.config.fetch.cache:
            warnings.append("with `fetch.cache: false` no validators are kept: every image was transferred")
        return results.RefreshResult(False, ready, new, kept, tuple(warnings))

    def sample(
        self, scope: RunScope, options: SampleOptions, *, keep_extension: bool = False
    ) -> results.SampleResult:
        """Draw and store a sample; `keep_extension`: as an extension if the stored one is an extension."""
        from .catalog.connection import write_catalog
        from .corpus.release import refuse_released
        from .sampling import redraw
        from .sampling.draw import draw_sample

        scope.state.enter("sample")
        with write_catalog(self.workspace) as connection:
            refuse_released(connection, options.name)
            if keep_extension:
                options = redraw.keep_extension(connection, options)
            drawn = draw_sample(connection, options, scope.run, fingerprints=self.fingerprinter(keep=True))
        scope.state.count("sample", {"selected": drawn.selected})
        return results.SampleResult(
            False, drawn.plan, drawn.selected, drawn.fingerprint, drawn.changed, drawn.why
        )

    def check_unreleased(self, name: str) -> None:
        """Raise CorpusReleased if the corpus is released."""
        from .catalog.connection import read_catalog
        from .corpus.release import refuse_released

        with read_catalog(self.workspace) as connection:
            refuse_released(connection, name)

    def is_released(self, options: SampleOptions) -> bool:
        """Whether the corpus of the sample is released; CorpusReleased if it was drawn with other options."""
        from .catalog.connection import read_catalog
        from .corpus.release import refuse_released, released_at
        from .sampling.redraw import changed_options, stored_manifest

        if not self.workspace.catalog.exists():
            return False
        with read_catalog(self.workspace) as connection:
            stored = stored_manifest(connection, options.name)
            if stored is None or released_at(connection, options.name) is None:
                return False
            changed = [name for name in changed_options(stored, options) if name not in ("extend", "exclude")]
            if changed:
                refuse_released(connection, options.name, changed)
        return True

    def build(self, scope: RunScope, name: str) -> results.BuildResult:
        """Write a stored sample's shards."""
        from .corpus.build import build_corpus

        self.check_unreleased(name)
        scope.state.enter("build")
        config = self.loaded.config
        with meter(self.progress, f"build {name}") as shown:

            def progress(samples: int, size: int) -> None:
                shown.advance(samples)
                scope.state.count("build", {"samples": samples, "bytes": size})

            workers = config.ingest.workers
            built = build_corpus(self.workspace, name, config.corpus, scope.run, workers, progress)
        return results.BuildResult(
            False, name, built.folder, built.samples, len(built.shards), built.rewritten, built.bytes
        )

    def refused_licenses(self, connection: DuckDBPyConnection) -> list[str]:
        """The licenses of items that the configured sample does not allow."""
        from .sampling.candidates import refused_licenses

        options = self.sample_options
        return [] if options is None else refused_licenses(connection, options.licenses)

    def withdraw_from_corpora(self, scope: RunScope) -> tuple[results.CorpusChange, ...]:
        """Remove withdrawn items from manifests and corpora."""
        from .corpus.withdraw import withdraw_from_corpora

        workers = self.loaded.config.ingest.workers
        with meter(self.progress, "rebuild shards") as shown:
            changes = withdraw_from_corpora(
                self.workspace,
                self.loaded.config.corpus,
                scope.run,
                workers,
                lambda samples, _: shown.advance(samples),
            )
        return tuple(
            results.CorpusChange(
                name=left.name,
                gone=sum(left.samples.values()),
                redrawn=left.redrawn,
                shards=None if built is None else len(built.shards),
                rewritten=None if built is None else built.rewritten,
            )
            for left, built in changes
        )

    def fingerprinter(self, *, keep: bool) -> Fingerprinter:
        """Reads the fingerprints of images that a sample excludes; with `keep` they are cached."""
        from .sampling.exclusion import read_hashes

        def fingerprints(exclusion: Exclusion) -> Iterable[Fingerprint]:
            if exclusion.hashes is not None:
                return read_hashes(exclusion)
            return self._image_fingerprints(exclusion, keep)

        return fingerprints

    def _image_fingerprints(self, exclusion: Exclusion, keep: bool) -> Iterator[Fingerprint]:
        from .pipeline.evaluation_hashes import UnreadImages, evaluation_source
        from .pipeline.hash_cache import cached_hashes
        from .sampling.exclusion import Fingerprint

        image = self.loaded.config.image
        try:
            source = evaluation_source(exclusion.declaration, exclusion.label)
            with meter(self.progress, f"hash {exclusion.label}") as shown:
                for found in cached_hashes(source, self.context, image, keep=keep):
                    yield Fingerprint(sha256=found.sha256, dhash=found.dhash)
                    if found.original_sha256 != found.sha256:
                        yield Fingerprint(sha256=found.original_sha256)
                    shown.advance(1)
        except UnreadImages as error:
            message = f"the images of {exclusion.label} cannot be excluded: {error}"
            raise ConfigError(message, key="sample.exclude") from error
