"""What each command does: it loads the configuration and lets the rooms work on one workspace."""

from __future__ import annotations

import difflib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ..adapters.base import Context, SourceOptions
from ..catalog.audit import load_audits, run_audits
from ..catalog.errors import ConfigError, DerlemError, QueryError
from ..catalog.maintenance import compact, migrate, rebuild
from ..catalog.status import Reason
from ..catalog.store import read_catalog, write_catalog
from ..catalog.workspace import Workspace
from ..corpus.build import build_corpus
from ..corpus.inventory import inventory
from ..corpus.layout import parse_key
from ..corpus.plan import plan_build
from ..corpus.restore import restore_corpora
from ..corpus.withdraw import withdraw_from_corpora
from ..pipeline.discover import Listing
from ..pipeline.lock import instance_lock
from ..pipeline.logs import configure_logs
from ..pipeline.progress import meter
from ..pipeline.purge import find_purgeable, purge, remains
from ..pipeline.retry import retry
from ..pipeline.session import Session, session, write_provenance
from ..pipeline.stages import (
    check_sources,
    checked_listings,
    ready,
    refreshable,
    run_discover,
    run_ingest,
    run_refresh,
    waiting,
)
from ..pipeline.state import has_died, read_states
from ..pipeline.withdraw import Takedown, find, withdraw
from ..sampling.diff import diff_samples, diff_table
from ..sampling.draw import draw_sample
from ..sampling.options import SampleOptions, scaled
from ..sampling.plan import Plan, plan_sample, plan_table
from ..settings.documents import Document
from ..settings.load import Loaded, validated
from .decontamination import fingerprinter
from .rendering import named

Table = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Columns and rows for `rendering`."""


def say(message: str) -> None:
    """A message for people: on stderr, so that stdout is data only."""
    print(message, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class App:
    """A loaded configuration and how its commands are to run."""

    loaded: Loaded
    workspace: Workspace
    command: str
    dry_run: bool
    test_mode: bool

    @classmethod
    def from_options(
        cls,
        document: Document,
        *,
        command: str,
        dry_run: bool,
        test_mode: bool,
        verbose: bool,
    ) -> App:
        """Check the configuration and set up logs; ConfigError for what is wrong with either."""
        loaded = validated(document)
        root = Path(loaded.config.workspace)
        if test_mode:
            root = root.with_name(root.name + "-test")
        workspace = Workspace(root)
        log = loaded.config.log
        configure_logs(
            None if dry_run else workspace.logs,
            level=log.level,
            levels=log.levels,
            as_json=log.format == "json",
            verbose=verbose,
        )
        return cls(loaded, workspace, command, dry_run, test_mode)

    def run(self, refreshing: bool) -> bool:
        """All stages to the end; whether an audit failed. If asked to, refresh what is ready first."""
        if self.dry_run:
            self.discover(())
            say("dry run: what follows (ingest, sample, build, audit) depends on what is discovered")
            return False
        sources, options = self._sources(()), self._sample_options()
        with self._locked():
            listings = self._listings(sources)  # before the session: a wrong declaration writes nothing
            with self._session() as work:
                troubles = run_discover(work, listings, self.loaded.declared)
                if refreshing:
                    self._refresh(work, refreshable(sources))
                run_ingest(work, sources, self._context(), self.loaded.config.ingest)
                _point_to_rejections(work)
                if options is not None:
                    self._draw(work, options, None)
                    self._build(work, options.name)
        if options is None:
            say("no `sample:` is configured: discovered and ingested, nothing to build")
            _raise_first(troubles)
            return False
        _, rows, failed = self.audit()
        for name, severity, count, meaning, first in rows:
            if count:
                say(f"audit {name} ({severity}): {count:,} rows, such as {named(first[0])}. {meaning}")
        say("audit: " + ("failed, see `derlem audit`" if failed else f"clean ({len(rows)} audits)"))
        _raise_first(troubles)
        return failed

    def discover(self, names: Sequence[str]) -> None:
        """List sources into the catalog."""
        sources = self._sources(names)
        if self.dry_run:
            for name, (listed, known) in check_sources(sources, self._context(), self._limit()).items():
                say(f"{name}: {listed:,} items listed, {known:,} known")
            return
        with self._locked():
            listings = self._listings(sources)
            with self._session() as work:
                troubles = run_discover(work, listings, self.loaded.declared)
        _raise_first(troubles)

    def ingest(self, names: Sequence[str]) -> None:
        """Settle what waits."""
        sources = self._sources(names)
        if self.dry_run:
            with read_catalog(self.workspace) as connection:
                for source in sources:
                    say(f"{source.name}: {waiting(connection, [source]):,} items wait to be read")
            return
        with self._locked(), self._session() as work:
            run_ingest(work, sources, self._context(), self.loaded.config.ingest)
            _point_to_rejections(work)

    def refresh(self, names: Sequence[str]) -> None:
        """Ask again for what is ready, and take what has changed."""
        sources = refreshable(self._sources(names))
        if strangers := sorted(set(names) - {source.name for source in sources}):
            raise ConfigError(f"{strangers[0]!r} is not fetched from addresses: there is nobody to ask again")
        if self.dry_run:
            with read_catalog(self.workspace) as connection:
                for source in sources:
                    say(f"{source.name}: {ready(connection, [source]):,} items would be asked for again")
            return
        with self._locked(), self._session() as work:
            self._refresh(work, sources)

    def retry(self, names: Sequence[str], reason: str | None) -> None:
        """Let failed items wait again."""
        sources = [source.name for source in self._sources(names)]
        if reason is not None and reason not in set(Reason):
            near = difflib.get_close_matches(reason, list(Reason), n=1)
            raise ConfigError(
                f"there is no reason {reason!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            )
        if self.dry_run:
            _, rows = self.sql("SELECT source, reason, items FROM rejections WHERE status = 'failed'")
            chosen = [row for row in rows if row[0] in sources and reason in (None, row[1])]
            say(f"{sum(row[2] for row in chosen):,} failed items would wait again")
            return
        with self._locked(), self._session() as work:
            count = retry(
                sources, work.store, run=work.run, reason=Reason(reason) if reason is not None else None
            )
        say(f"{count:,} failed items wait again")

    def sample(self, extend: str | None, diff: tuple[str, str] | None) -> Table:
        """Draw the configured sample, or explain it, or compare two; the table to show."""
        if diff is not None:
            with read_catalog(self.workspace) as connection:
                return diff_table(diff_samples(connection, *diff))
        options = self._sample_options()
        if options is None:
            raise ConfigError("no sample is configured", key="sample")
        if self.dry_run:
            with read_catalog(self.workspace) as connection:
                prints = fingerprinter(self._context())
                return plan_table(plan_sample(connection, options, extend=extend, fingerprints=prints))
        with self._locked(), self._session() as work:
            return plan_table(self._draw(work, options, extend))

    def build(self, name: str | None) -> None:
        """Write a sample as a corpus."""
        options = self._sample_options()
        if name is None and options is None:
            raise ConfigError("no sample is configured: name one that is stored", key="sample")
        chosen = name or (options.name if options else "")
        if self.dry_run:
            with read_catalog(self.workspace) as connection:
                plan = plan_build(connection, self.workspace, chosen, self.loaded.config.corpus)
            say(f"{chosen}: {plan.samples:,} samples in {plan.shards:,} shards, about {plan.bytes:,} bytes")
            return
        with self._locked(), self._session() as work:
            self._build(work, chosen)

    def withdraw(self, source: str | None, key: str | None, where: str | None, purging: bool) -> None:
        """Mark items as withdrawn and write the shards that held one again; purge store and cache of them."""
        if key is not None and (parsed := parse_key(key)):
            key = parsed[0]  # of a repeat, too
        nothing_more = purging and (source, key, where) == (None, None, None)
        takedown = None if nothing_more else Takedown(source, key, where)
        if self.dry_run:
            if takedown is not None:
                rows = find(self.workspace, takedown, "")
                say(f"{takedown}: {rows.num_rows:,} items would be withdrawn")
            if purging:
                before = find_purgeable(self.workspace, "").num_rows
                say(f"{before:,} items that are withdrawn already would be purged")
            return
        with self._locked(), self._session() as work:
            work.state.enter("withdraw")
            if takedown is not None:
                counts = withdraw(work.store, takedown, work.run)
                for name, count in counts.items():
                    say(f"{name}: {count:,} items withdrawn")
                if not counts:
                    say(f"{takedown}: nothing is left to withdraw")
            with meter("rebuild shards") as shown:
                touched = withdraw_from_corpora(
                    self.workspace,
                    work.run,
                    self.loaded.config.ingest.workers,
                    lambda samples, _: shown.advance(samples),
                )
            if purging:
                for name, count in purge(work.store, work.run).items():
                    say(f"{name}: {count:,} items purged from store and cache")
            write_provenance(self.workspace)
        for found, built in touched:
            went = f"{sum(found.samples.values()):,} samples gone"
            if found.redrawn:
                went += ", drawn anew since it was built"
            shards = (
                "not built" if built is None else f"{built.rewritten} of {len(built.shards)} shards rewritten"
            )
            say(f"corpus {found.name}: {went}, {shards}")

    def audit(self) -> tuple[Sequence[str], list[Sequence[Any]], bool]:
        """Audit the catalog and the shards; a row per audit, and whether an error audit has rows."""
        audits = load_audits([Path(folder) for folder in self.loaded.config.audit.paths])
        found = inventory(self.workspace, remains(self.workspace), self.loaded.config.ingest.workers)
        with read_catalog(self.workspace) as connection:
            results = run_audits(connection, audits, found)
        rows: list[Sequence[Any]] = [
            (result.audit.name, result.audit.severity, result.count, result.audit.meaning, result.examples)
            for result in results
        ]
        failed = any(result.failed for result in results)
        return ("audit", "severity", "rows", "meaning", "first rows"), rows, failed

    def status(self, watch: bool) -> Iterator[Table]:
        """The last run and the progress of all sources; again every second while it runs, if `watch`."""
        while True:
            current = self.workspace.state / "current.json"
            working = False
            if current.exists():
                state = json.loads(current.read_text("utf-8"))
                died = has_died(state)
                working = state["state"] == "running" and not died
                how = "killed" if died else state["state"]
                where = f", in {state['stage']}" if working or died else ""
                say(f"run {state['run']} ({state['command']}): {how}{where}")
                for stage, counts in state["counts"].items():
                    say(f"  {stage}: " + ", ".join(f"{key} {count:,}" for key, count in counts.items()))
            yield self.sql("FROM progress")
            if not watch or not working:
                return
            time.sleep(1.0)

    def sql(self, text: str) -> Table:
        """The answer to a query; QueryError with the database's message if it is none."""
        with read_catalog(self.workspace) as connection:
            try:
                answer = connection.execute(text)
                columns = [column[0] for column in answer.description or []]
                return columns, list(answer.fetchall())
            except duckdb.Error as error:
                raise QueryError(str(error)) from error

    def compact(self) -> None:
        """Rewrite the catalog file."""
        if self._nothing_but("rewrite the catalog file"):
            return
        with self._locked():
            before, after = compact(self.workspace)
        say(f"{before:,} bytes before, {after:,} after")

    def rebuild(self) -> None:
        """Make the catalog anew from what lies in the workspace."""
        if self._nothing_but("make the catalog anew from the segments"):
            return
        with self._locked():
            rebuild(self.workspace, read_states(self.workspace), restore_corpora)
        _, rows = self.sql("SELECT (SELECT count(*) FROM segments), (SELECT count(*) FROM items)")
        say(f"{rows[0][0]:,} segments, {rows[0][1]:,} items")

    def migrate(self) -> None:
        """Bring the catalog to this version's schema."""
        if self._nothing_but("bring the catalog to this schema version"):
            return
        with self._locked():
            before, after = migrate(self.workspace)
        say(f"schema version {before} before, {after} now")

    def _session(self) -> AbstractContextManager[Session]:
        return session(self.workspace, self.command, self.loaded.config_hash, self.loaded.config.ingest)

    def _locked(self) -> AbstractContextManager[None]:
        return instance_lock(self.workspace, self.command)

    def _listings(self, sources: Sequence[SourceOptions]) -> list[Listing]:
        return checked_listings(sources, self._context(), self._limit())

    def _context(self) -> Context:
        return Context(self.workspace, self.loaded.config.sections())

    def _limit(self) -> int | None:
        return self.loaded.config.test_mode.items if self.test_mode else None

    def _sources(self, names: Sequence[str]) -> list[SourceOptions]:
        """The named sources, or all; ConfigError for a name that is not declared."""
        declared = {source.name: source for source in self.loaded.config.sources}
        for name in names:
            if name not in declared:
                near = difflib.get_close_matches(name, declared, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f" (declared: {', '.join(declared)})"
                raise ConfigError(f"no source is named {name!r}{hint}")
        return [declared[name] for name in names] if names else list(declared.values())

    def _sample_options(self) -> SampleOptions | None:
        options = self.loaded.config.sample
        if options is None or not self.test_mode:
            return options
        reachable = self.loaded.config.test_mode.items * len(self.loaded.config.sources)
        return scaled(options, min(options.target, reachable))

    def _refresh(self, work: Session, sources: Sequence[SourceOptions]) -> None:
        context = self._context()
        if sources and not context.settings["fetch"]["cache"]:
            say("warning: with `fetch.cache: false` nothing is known of what was fetched: all is transferred")
        new, kept = run_refresh(work, sources, context, self.loaded.config.ingest)
        others = "".join(f", {count:,} {why}" for why, count in sorted(kept.items()) if why != "unchanged")
        say(
            f"refresh: {new:,} new, {kept['unchanged']:,} unchanged"
            + (others and f"; kept as they were{others}")
        )

    def _draw(self, work: Session, options: SampleOptions, extend: str | None) -> Plan:
        work.state.enter("sample")
        with write_catalog(self.workspace) as connection:
            prints = fingerprinter(self._context())
            result = draw_sample(connection, options, work.run, extend=extend, fingerprints=prints)
        work.state.count("sample", {"selected": result.selected})
        return result.plan

    def _build(self, work: Session, name: str) -> None:
        work.state.enter("build")
        ingest = self.loaded.config.ingest
        with meter(f"build {name}") as shown:

            def progress(samples: int, size: int) -> None:
                shown.advance(samples)
                work.state.count("build", {"samples": samples, "bytes": size})

            result = build_corpus(
                self.workspace, name, self.loaded.config.corpus, work.run, ingest.workers, progress
            )
        say(
            f"corpus {name}: {result.samples:,} samples in {len(result.shards):,} shards, "
            f"{result.bytes:,} bytes, in {result.folder}"
        )

    def _nothing_but(self, what: str) -> bool:
        """Whether this is a dry run, which then says what it would do."""
        if self.dry_run:
            say(f"dry run: would {what}")
        return self.dry_run


def _point_to_rejections(work: Session) -> None:
    """Say where to read why items did not become samples, if any did not in this run."""
    counts = work.state.state.counts.get("ingest", {})
    lost = [f"{counts[status]:,} {status}" for status in ("rejected", "failed") if counts.get(status)]
    if lost:
        say(f'{" and ".join(lost)}: `derlem sql "FROM rejections"` says why')


def _raise_first(troubles: Sequence[DerlemError]) -> None:
    """The error of a source whose listing failed on the way: said last, when all else is done."""
    if troubles:
        raise troubles[0]
