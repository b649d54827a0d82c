"""What each command does: it loads the configuration and lets the rooms work on one workspace."""

from __future__ import annotations

import difflib
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ..adapters.base import Context, SourceOptions
from ..catalog.audit import load_audits, run_audits
from ..catalog.errors import ConfigError, QueryError
from ..catalog.maintenance import compact, migrate, rebuild
from ..catalog.segments import row_schema
from ..catalog.status import Reason
from ..catalog.store import read_catalog, write_catalog
from ..catalog.workspace import Workspace
from ..corpus.build import build_corpus, plan_build
from ..corpus.inventory import inventory
from ..corpus.restore import restore_corpora
from ..pipeline.lock import instance_lock
from ..pipeline.logs import configure_logs
from ..pipeline.progress import meter
from ..pipeline.retry import retry
from ..pipeline.session import Session, session
from ..pipeline.stages import check_sources, run_discover, run_ingest, waiting
from ..pipeline.state import read_states
from ..sampling.options import SampleOptions, scaled
from ..settings.load import Loaded, load

Table = tuple[Sequence[str], list[Sequence[Any]]]
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
        *,
        command: str,
        files: Sequence[Path],
        overrides: Sequence[str],
        dry_run: bool,
        test_mode: bool,
        log_levels: Sequence[str],
        log_format: str | None,
        verbose: bool,
    ) -> App:
        """Load the configuration and set up logs; ConfigError for what is wrong with either."""
        levels = [f"log.levels.{pair}" for pair in log_levels]
        loaded = load(files, [*overrides, *levels, *([f"log.format={log_format}"] if log_format else [])])
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

    def run(self) -> bool:
        """All stages to the end; whether an audit failed."""
        if self.dry_run:
            self.discover(())
            say("dry run: what follows (ingest, sample, build, audit) depends on what is discovered")
            return False
        with self._session() as work:
            self._discover(work, self._sources(()))
            run_ingest(work, self._sources(()), self._context(), self.loaded.config.ingest)
            options = self._sample_options()
            if options is None:
                say("no `sample:` is configured: discovered and ingested, nothing to build")
                return False
            self._draw(work, options, None)
            self._build(work, options.name)
        columns, rows, failed = self.audit()
        for row in rows:
            if row[columns.index("rows")]:
                say(" ".join(str(cell) for cell in row))
        say("audit: " + ("failed" if failed else f"clean ({len(rows)} audits)"))
        return failed

    def discover(self, names: Sequence[str]) -> None:
        """List sources into the catalog."""
        sources = self._sources(names)
        if self.dry_run:
            for name, (listed, known) in check_sources(sources, self._context(), self._limit()).items():
                say(f"{name}: {listed:,} items listed, {known:,} known")
            return
        with self._session() as work:
            self._discover(work, sources)

    def ingest(self, names: Sequence[str]) -> None:
        """Settle what waits."""
        sources = self._sources(names)
        if self.dry_run:
            for source in sources:
                say(f"{source.name}: {waiting(self.workspace, [source]):,} items wait to be read")
            return
        with self._session() as work:
            run_ingest(work, sources, self._context(), self.loaded.config.ingest)

    def retry(self, names: Sequence[str], reason: str | None) -> None:
        """Let failed items wait again."""
        sources = [source.name for source in self._sources(names)]
        if reason is not None and reason not in set(Reason):
            near = difflib.get_close_matches(reason, list(Reason), n=1)
            raise ConfigError(f"there is no reason {reason!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        if self.dry_run:
            _, rows = self.sql("SELECT source, reason, items FROM rejections WHERE status = 'failed'")
            chosen = [row for row in rows if row[0] in sources and reason in (None, row[1])]
            say(f"{sum(row[2] for row in chosen):,} failed items would wait again")
            return
        with self._session() as work:
            count = retry(
                sources, work.store, run=work.run, reason=Reason(reason) if reason is not None else None
            )
        say(f"{count:,} failed items wait again")
