"""Audits a workspace and reports on it: joins the catalog, the last audit and the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import results
from .catalog.connection import read_catalog
from .core.errors import UnknownManifest
from .core.workspace import Workspace

if TYPE_CHECKING:
    from .execution import Execution
    from .report.page import Report
    from .report.training_summary import TrainingSummary


def run_audits(execution: Execution, *, deep: bool, keep: bool) -> results.AuditReport:
    """Run all audits over the catalog and the shards; with `deep` also over the images in the store.

    With `keep` the result is recorded for reports.
    """
    from .catalog import audit
    from .catalog.image_scan import damaged_images
    from .corpus.shard_scan import scan_shards
    from .pipeline.purge import purge_residue
    from .report.audit_record import record_audits

    workspace, config = execution.workspace, execution.loaded.config
    audits = audit.load_audits([Path(folder) for folder in config.audit.paths])
    workers, damaged = config.ingest.workers, None
    if deep:
        with read_catalog(workspace) as connection:
            damaged = damaged_images(connection, workspace, workers)
    found = scan_shards(workspace, purge_residue(workspace), workers, damaged)
    with read_catalog(workspace) as connection:
        refused = execution.refused_licenses(connection)
        report = results.AuditReport(tuple(audit.run_audits(connection, audits, found, refused)))
        if keep:
            record_audits(workspace, connection, report.results)
    return report


def write_report(workspace: Workspace, corpus: str | None, compare: str | None) -> Report:
    """The report on a manifest, or on all ready items. The catalog is closed before images are read."""
    from .report.audit_record import last_audits
    from .report.facts import collect, newest_corpus
    from .report.page import render

    with read_catalog(workspace) as connection:
        chosen = corpus or newest_corpus(connection)
        if compare is not None and chosen is None:
            raise UnknownManifest(compare, [])
        facts = collect(connection, chosen, compare=compare, audit=last_audits(workspace, connection))
    return render(workspace, facts)


def summarize_training(workspace: Workspace, corpus: str | None) -> TrainingSummary:
    """The public summary of training content of a manifest."""
    from .report.facts import newest_corpus
    from .report.training_summary import summarize

    with read_catalog(workspace) as connection:
        return summarize(connection, corpus or newest_corpus(connection) or "")
