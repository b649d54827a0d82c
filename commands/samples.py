"""What is made of the catalog: `sample` and `build`."""

from __future__ import annotations

from ..catalog.connection import read_catalog, write_catalog
from ..core.errors import ConfigError
from ..corpus.build import build_corpus
from ..corpus.plan import plan_build
from ..pipeline.progress import meter
from ..pipeline.run import Session
from ..sampling.diff import diff_manifests, diff_table
from ..sampling.draw import draw_sample
from ..sampling.plan import Plan, plan_sample, plan_table
from ..sampling.sample_options import SampleOptions
from .app import App, say
from .decontamination import fingerprinter
from .rendering import Table
from .work import begun, locked


def sample(app: App, extend: str | None, diff: tuple[str, str] | None) -> Table:
    """Draw the configured sample, or explain it, or compare two; the table to show."""
    if diff is not None:
        with read_catalog(app.workspace) as connection:
            return diff_table(diff_manifests(connection, *diff))
    options = app.sample_options
    if options is None:
        raise ConfigError("no sample is configured", key="sample")
    if app.dry_run:
        with read_catalog(app.workspace) as connection:
            prints = fingerprinter(app.context, app.loaded.config.image, keep=False)
            return plan_table(plan_sample(connection, options, extend=extend, fingerprints=prints))
    with locked(app), begun(app) as work:
        return plan_table(draw(app, work, options, extend))


def build(app: App, name: str | None) -> None:
    """Write a sample as a corpus."""
    options = app.sample_options
    if name is None and options is None:
        raise ConfigError("no sample is configured: name one that is stored", key="sample")
    chosen = name or (options.name if options else "")
    if app.dry_run:
        with read_catalog(app.workspace) as connection:
            plan = plan_build(connection, app.workspace, chosen, app.loaded.config.corpus)
        say(f"{chosen}: {plan.samples:,} samples in {plan.shards:,} shards, about {plan.bytes:,} bytes")
        return
    with locked(app), begun(app) as work:
        build_shards(app, work, chosen)


def draw(app: App, work: Session, options: SampleOptions, extend: str | None) -> Plan:
    """Draw and store a sample within a run; the plan it follows."""
    work.state.enter("sample")
    with write_catalog(app.workspace) as connection:
        prints = fingerprinter(app.context, app.loaded.config.image, keep=True)
        result = draw_sample(connection, options, work.run, extend=extend, fingerprints=prints)
    work.state.count("sample", {"selected": result.selected})
    return result.plan


def build_shards(app: App, work: Session, name: str) -> None:
    """Write a stored sample's shards within a run, and say what came of it."""
    work.state.enter("build")
    ingest = app.loaded.config.ingest
    with meter(f"build {name}") as shown:

        def progress(samples: int, size: int) -> None:
            shown.advance(samples)
            work.state.count("build", {"samples": samples, "bytes": size})

        result = build_corpus(
            app.workspace, name, app.loaded.config.corpus, work.run, ingest.workers, progress
        )
    say(
        f"corpus {name}: {result.samples:,} samples in {len(result.shards):,} shards, "
        f"{result.bytes:,} bytes, in {result.folder}"
    )
