"""Maintenance of the catalog file, across rooms: `Project.catalog`."""

from __future__ import annotations

from dataclasses import asdict

from . import results
from .execution import Execution


class CatalogMaintenance:
    """Maintenance of the catalog file, as `project.catalog`."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._workspace = execution.workspace

    def compact(self, *, dry_run: bool = False) -> results.CompactResult:
        """Rewrite the catalog without the space of replaced rows; CatalogMissing if there is none."""
        from .catalog import maintenance

        if dry_run:
            return results.CompactResult(True, maintenance.catalog_size(self._workspace), None)
        with self._execution.lock("catalog.compact"):
            return results.CompactResult(False, *maintenance.compact(self._workspace))

    def rebuild(self, *, dry_run: bool = False) -> results.RebuildResult:
        """Create the catalog again from segments, provenance files and corpora.

        Raises StoreEmpty, or SegmentsLost where the store lacks segments that were written.
        """
        from .catalog import maintenance
        from .catalog.segment_files import stored
        from .catalog.user_queries import fetch_rows
        from .corpus.restore import restore_corpora
        from .pipeline.state import read_states

        if dry_run:
            maintenance.check_store(self._workspace)
            return results.RebuildResult(True, len(list(stored(self._workspace))), None)
        with self._execution.lock("catalog.rebuild"):
            runs = [asdict(state) for state in read_states(self._workspace)]
            maintenance.rebuild(self._workspace, runs, restore_corpora)
        counts = "SELECT (SELECT count(*) FROM segments), (SELECT count(*) FROM items)"
        _, [(segments, items)] = fetch_rows(self._workspace, counts)
        return results.RebuildResult(False, segments, items)

    def repair(self, *, dry_run: bool = False) -> results.RepairResult:
        """Record lost and damaged segments, and re-queue the items whose images they held.

        A missing or unreadable catalog is rebuilt without the lost segments, whose contents are unknown.
        """
        from .catalog.connection import read_catalog
        from .core.errors import CatalogMissing, CatalogUnreadable
        from .pipeline import repair as repairing

        try:
            with read_catalog(self._workspace):
                readable = True
        except (CatalogMissing, CatalogUnreadable):
            readable = False
        if dry_run:
            losses = (repairing.find_losses if readable else repairing.find_unknown_losses)(self._workspace)
            return results.RepairResult(True, losses.segments, losses.images, not readable)
        if readable:
            with self._execution.lock("catalog.repair"), self._execution.start("catalog.repair") as scope:
                losses = repairing.repair(scope.store, scope.run)
        else:
            with self._execution.lock("catalog.repair"):
                losses = repairing.mark_losses(self._workspace)
            self.rebuild()
        return results.RepairResult(False, losses.segments, losses.images, not readable)

    def migrate(self, *, dry_run: bool = False) -> results.MigrateResult:
        """Bring the catalog to this version's schema; CatalogMissing, CatalogVersionError."""
        from .catalog import maintenance

        if dry_run:
            return results.MigrateResult(True, *maintenance.plan_migration(self._workspace))
        with self._execution.lock("catalog.migrate"):
            return results.MigrateResult(False, *maintenance.migrate(self._workspace))
