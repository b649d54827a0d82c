"""The `derlem` command: options, wiring, exit codes. What is done is done in the rooms."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import __version__
from .core.durable import disk_error
from .core.errors import DerlemError, chain
from .core.startup import no_collections, skip_last_collection, tune_gc

if TYPE_CHECKING:
    from .commands.app import App

log = logging.getLogger("derlem.pipeline")

FORMAT_CHOICES = ("table", "json", "csv")


class DerlemGroup(click.Group):
    """Turns errors that are meant for the user into a line on stderr and their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        _heed_endings()
        skip_last_collection()
        try:
            return super().invoke(ctx)
        except DerlemError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(error.exit_code)
        except BaseException as error:
            if (interrupt := _interrupt_behind(error)) is not None:
                click.echo(
                    "Interrupted. Nothing that was committed is lost; the same command goes on.", err=True
                )
                sys.exit(128 + next(iter([*interrupt.args, *_ended_by, signal.SIGINT])))
            if (disk := disk_error(error)) is not None:
                click.echo(f"Error: {disk}", err=True)
                sys.exit(disk.exit_code)
            if not isinstance(error, OSError) or not (error.filename or isinstance(error, PermissionError)):
                raise
            # a file that the system does not let us have: which one and why is all that there is to say
            log.info("where that happened", exc_info=True)
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"Error: {where}{error.strerror}", err=True)
            sys.exit(DerlemError.exit_code)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a corpus is made."""
        return list(self.commands)


_ended_by: list[int] = []
"""Signals, other than an interrupt, that told this process to end; DuckDB 2 loses the exception."""


def _heed_endings() -> None:
    """Take SIGTERM and SIGHUP (a service that stops, a terminal that closes) like an interrupt.

    Not what somebody else decided on, such as nohup.
    """

    def end(number: int, _: object) -> None:
        _ended_by.append(number)
        raise KeyboardInterrupt(number)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, end)


def _interrupt_behind(error: BaseException) -> KeyboardInterrupt | None:
    """The interrupt that an error is, or stems from: in the midst of an import it comes wrapped."""
    return next((each for each in chain(error) if isinstance(each, KeyboardInterrupt)), None)


def listing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The one `--format` option that every listing command takes."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(FORMAT_CHOICES),
        default="table",
        show_default=True,
        help="How rows are written to stdout.",
    )(command)


@click.group(
    cls=DerlemGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "-c",
    "--config",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Configuration file; several are merged left to right.  [default: derlem.yaml]",
)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one key, such as sample.seed=7."
)
@click.option("--dry-run", is_flag=True, help="Write nothing anywhere; say what would happen.")
@click.option(
    "--test-mode", is_flag=True, help="A few items per source, end to end, in a workspace of its own."
)
@click.option("--log-level", "log_levels", multiple=True, metavar="NAME=LEVEL", help="Such as fetch=DEBUG.")
@click.option("--log-format", type=click.Choice(("text", "json")), help="Of log lines.  [default: text]")
@click.option("-v", "--verbose", is_flag=True, help="Show log lines on stderr, not only warnings.")
@click.version_option(__version__, "--version", message="derlem %(version)s")
@click.pass_context
def main(
    ctx: click.Context,
    files: Sequence[Path],
    overrides: Sequence[str],
    dry_run: bool,
    test_mode: bool,
    log_levels: Sequence[str],
    log_format: str | None,
    verbose: bool,
) -> None:
    """Build the training corpus of a vision-language model.

    Declare sources and quotas in derlem.yaml, then let `derlem run` take everything to an audited corpus.

    \b
    Example:
      derlem init && derlem run && derlem sql "FROM composition"
    """
    levels = [f"log.levels.{pair}" for pair in log_levels]
    ctx.obj = {
        "files": files,
        "overrides": [*overrides, *levels, *([f"log.format={log_format}"] if log_format else [])],
        "dry_run": dry_run,
        "test_mode": test_mode,
        "verbose": verbose,
    }


@contextmanager
def app(ctx: click.Context, *, workers: bool = False) -> Iterator[App]:
    """The loaded configuration, for a block in which a command imports what it needs, not before.

    With `workers` these are got ready while this process is busy with its own imports.
    """
    from .settings.documents import read_documents

    options = dict(ctx.obj)
    document = read_documents(options.pop("files"), options.pop("overrides"))
    # nothing here does linear algebra: threads for it would only be started, and spin
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if workers and not options["dry_run"]:
        from .pipeline.executors.fork_server import warm_up

        warm_up(document.adapters)
    with no_collections():
        from .commands.app import App

        yield App.from_options(document, command=_command_line(), **options)
    tune_gc()


def _command_line() -> str:
    return " ".join(["derlem", *sys.argv[1:]])


def emit(columns: Sequence[str], rows: Sequence[Sequence[Any]], form: str) -> None:
    """Write rows to stdout."""
    from .commands.rendering import render

    render(columns, rows, form)


@main.command()
@click.argument("path", type=click.Path(path_type=Path), default="derlem.yaml")
def init(path: Path) -> None:
    """Write a commented configuration to begin with.

    \b
    Example:
      derlem init
      derlem init corpora/news.yaml
    """
    from importlib.resources import files as resources

    text = resources("derlem.configs").joinpath("starter.yaml").read_text("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.UsageError(f"{path} exists already; it is left as it is") from None
    click.echo(f"Wrote {path}. Edit its sources, then: derlem -c {path} run", err=True)


@main.command()
@listing
@click.pass_context
def doctor(ctx: click.Context, form: str) -> None:
    """Check the machine, the configuration and the workspace.

    \b
    Example:
      derlem doctor
    """
    from .commands.doctor import examine

    findings = examine(ctx.obj["files"], ctx.obj["overrides"])
    emit(("check", "state", "detail"), [(f.check, f.state, f.detail) for f in findings], form)
    if any(finding.state == "wrong" for finding in findings):
        sys.exit(1)


@main.command()
@click.option(
    "--refresh", "refreshing", is_flag=True, help="Ask again for pictures that were fetched before."
)
@click.pass_context
def run(ctx: click.Context, refreshing: bool) -> None:
    """Take all stages to the end: discover, ingest, sample, build, audit.

    Safe to call again at any time: it does what is missing. Exit code 3 when an audit has rows.

    \b
    Example:
      derlem run
      derlem -c derlem.yaml -c cloud.yaml run
    """
    with app(ctx, workers=True) as loaded:
        from .commands import stages
    _finish(stages.run(loaded, refreshing))


@main.command()
@click.argument("sources", nargs=-1)
@click.pass_context
def discover(ctx: click.Context, sources: Sequence[str]) -> None:
    """List sources (all, or those named) into the catalog.

    \b
    Example:
      derlem discover
      derlem discover stamps bundle
    """
    with app(ctx) as loaded:
        from .commands import stages
    stages.discover(loaded, sources)


@main.command()
@click.argument("sources", nargs=-1)
@click.pass_context
def ingest(ctx: click.Context, sources: Sequence[str]) -> None:
    """Read, normalise and store what is discovered and waits.

    \b
    Example:
      derlem ingest
      derlem --set ingest.workers=8 ingest bundle
    """
    with app(ctx, workers=True) as loaded:
        from .commands import stages
    stages.ingest(loaded, sources)


@main.command()
@click.argument("sources", nargs=-1)
@click.pass_context
def refresh(ctx: click.Context, sources: Sequence[str]) -> None:
    """Ask again for pictures that were fetched from addresses, and take those that have changed.

    Servers are asked whether there is anything new; what is unchanged is not transferred. An item keeps
    its picture until there is a new one, whatever its server answers.

    \b
    Example:
      derlem refresh
      derlem refresh web && derlem build
    """
    with app(ctx, workers=True) as loaded:
        from .commands import stages
    stages.refresh(loaded, sources)


@main.command()
@click.argument("sources", nargs=-1)
@click.option("--reason", help="Only items that failed with this reason code.")
@click.pass_context
def retry(ctx: click.Context, sources: Sequence[str], reason: str | None) -> None:
    """Let failed items wait again; rejected ones are final.

    \b
    Example:
      derlem retry && derlem ingest
      derlem retry web --reason timeout
    """
    with app(ctx) as loaded:
        from .commands import stages
    stages.retry(loaded, sources, reason)


@main.command()
@click.option(
    "--extend", metavar="PREVIOUS", help="Keep what this sample selected, as far as it is still valid."
)
@click.option("--diff", nargs=2, metavar="A B", help="Compare two stored samples instead.")
@listing
@click.pass_context
def sample(ctx: click.Context, extend: str | None, diff: tuple[str, str] | None, form: str) -> None:
    """Draw the configured sample; with --dry-run, show the allocation and why.

    \b
    Example:
      derlem --dry-run sample
      derlem sample --extend tr-vlm-v1
    """
    with app(ctx) as loaded:
        from .commands import samples
    emit(*samples.sample(loaded, extend, diff), form)


@main.command()
@click.argument("name", required=False)
@click.pass_context
def build(ctx: click.Context, name: str | None) -> None:
    """Write the sample as a corpus.

    \b
    Example:
      derlem build
      derlem --set corpus.format=parquet build
    """
    with app(ctx) as loaded:
        from .commands import samples
    samples.build(loaded, name)


@main.command()
@listing
@click.pass_context
def audit(ctx: click.Context, form: str) -> None:
    """Check catalog and shards against each other; exit code 3 when an error audit has rows.

    \b
    Example:
      derlem audit --format json
    """
    with app(ctx) as loaded:
        from .commands import care
        from .commands.rendering import named
    columns, rows, failed = care.audit(loaded)
    if form == "table":
        emit(columns[:3], [row[:3] for row in rows], form)
        for name, severity, count, meaning, first in rows:
            if count:
                click.echo(f"{name} ({severity}): {meaning}")
                for row in first:
                    click.echo("  " + named(row))
    else:
        emit(columns, rows, form)
    _finish(failed)


@main.command()
@click.option("--watch", is_flag=True, help="Refresh every second until the run ends.")
@listing
@click.pass_context
def status(ctx: click.Context, watch: bool, form: str) -> None:
    """Show the running or last run and how far each source is.

    \b
    Example:
      derlem status --watch
    """
    with app(ctx) as loaded:
        from .commands.status import progress
    for columns, rows in progress(loaded, watch):
        if watch and sys.stdout.isatty():
            click.clear()
        emit(columns, rows, form)


@main.command()
@click.argument("query")
@listing
@click.pass_context
def sql(ctx: click.Context, query: str, form: str) -> None:
    """Ask the catalog (read-only); `-` reads the query from stdin.

    \b
    Views: composition, progress, rejections, licenses, quota_report.

    \b
    Example:
      derlem sql "FROM composition"
      derlem sql "SELECT reason, count(*) FROM items GROUP BY ALL" --format csv
    """
    text = sys.stdin.read() if query == "-" else query
    with app(ctx) as loaded:
        from .commands.status import answer
    emit(*answer(loaded, text), form)


@main.command()
@click.option("--source", help="All items of a source.")
@click.option("--key", help="An item (the key of its sample), and all that hold the very same picture.")
@click.option("--where", help="Items that satisfy an SQL predicate.")
@click.option("--purge", is_flag=True, help="Erase what is withdrawn, earlier too, from store and cache.")
@click.pass_context
def withdraw(ctx: click.Context, source: str | None, key: str | None, where: str | None, purge: bool) -> None:
    """Take items down: out of the catalog's use, out of manifests and out of the built corpora.

    Only the shards that held one are written again; the pages of a document go with it. With --purge
    their bytes and texts are erased from the segments and from the cache as well, and the audit looks
    for what is left of them; with --purge alone, those of what was withdrawn before.

    \b
    Example:
      derlem --dry-run withdraw --source web
      derlem withdraw --source web --purge
      derlem withdraw --key 0b1f6c2f9d6e4a0c8e1d2f3a4b5c6d7e
      derlem withdraw --where "uri LIKE 'https://example.org/%'"
    """
    with app(ctx) as loaded:
        from .commands import takedown
    takedown.withdraw(loaded, source, key, where, purge)


@main.group()
def catalog() -> None:
    """Care for the catalog file.

    \b
    Example:
      derlem catalog compact
    """


@catalog.command()
@click.pass_context
def compact(ctx: click.Context) -> None:
    """Rewrite the catalog without the space of replaced rows.

    \b
    Example:
      derlem catalog compact
    """
    with app(ctx) as loaded:
        from .commands import care
    care.compact(loaded)


@catalog.command()
@click.pass_context
def rebuild(ctx: click.Context) -> None:
    """Make the catalog anew from segments, provenance files and corpora.

    \b
    Example:
      derlem catalog rebuild
    """
    with app(ctx) as loaded:
        from .commands import care
    care.rebuild(loaded)


@catalog.command()
@click.pass_context
def migrate(ctx: click.Context) -> None:
    """Bring a catalog of an older derlem to this version's schema.

    \b
    Example:
      derlem catalog migrate
    """
    with app(ctx) as loaded:
        from .commands import care
    care.migrate(loaded)


def _finish(failed: bool) -> None:
    """Exit code 3 if an audit failed."""
    if failed:
        sys.exit(3)
    return
