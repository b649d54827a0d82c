"""Defines the `derlem` command: options, lazily imported commands, and exit codes for errors."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import click

from . import __version__
from .commands.shared import JSON_ERRORS, JSON_MESSAGES, Invocation, echo, to_json
from .core.durable import disk_error
from .core.errors import DerlemError
from .core.masking import mask
from .core.signals import install_signal_handlers, signal_behind
from .core.startup import block_pandas, skip_last_collection, tune_gc

log = logging.getLogger("derlem.pipeline")

COMMANDS = {
    "init": "workspace",
    "doctor": "questions",
    "run": "stages",
    "discover": "stages",
    "ingest": "stages",
    "refresh": "stages",
    "retry": "stages",
    "sample": "corpora",
    "build": "corpora",
    "audit": "corpora",
    "release": "corpora",
    "drop": "corpora",
    "publish": "publish",
    "export": "publish",
    "status": "questions",
    "hosts": "questions",
    "sql": "sql",
    "report": "report",
    "browse": "browse",
    "withdraw": "corpora",
    "catalog": "workspace",
    "sync": "sync",
}
"""Each command's module in `commands/`, in the order of use."""


class DerlemGroup(click.Group):
    """Imports a command with its first use, and turns errors into a line on stderr and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f".commands.{COMMANDS[cmd_name]}", __package__)
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        _prepare_process()
        if "--format=json" in ctx.args or ("--format", "json") in pairwise(ctx.args):
            ctx.meta[JSON_ERRORS] = True  # also for an error of parsing the command's arguments
        try:
            return super().invoke(ctx)
        except DerlemError as error:
            _fail(str(error), error.exit_code, kind=type(error).__name__)
        except click.NoSuchOption as error:
            name = error.option_name
            if not any(name in parameter.opts for parameter in self.params):
                return self._misused(ctx, error)
            message = f"place {name} before the command: derlem {name} ..."
            return self._misused(ctx, click.UsageError(message, error.ctx))
        except click.UsageError as error:
            return self._misused(ctx, error)
        except (click.exceptions.Exit, click.Abort, SystemExit):
            raise
        except BaseException as error:
            if (number := signal_behind(error)) is not None:
                _fail(
                    "Interrupted. Committed work is kept; repeat the command to continue.",
                    128 + number,
                    prefix="",
                    kind="Interrupted",
                )
            if (disk := disk_error(error)) is not None:
                _fail(str(disk), disk.exit_code, kind=type(disk).__name__)
            if not isinstance(error, OSError) or not (error.filename or isinstance(error, PermissionError)):
                log.error("traceback", exc_info=error, extra={"shown": True})
                _fail("".join(traceback.format_exception(error)), 1, prefix="", kind=type(error).__name__)
            # the name of the file and the cause of the error are sufficient for the user
            log.info("traceback", exc_info=True)
            where = f"{error.filename}: " if error.filename else ""
            _fail(f"{where}{error.strerror}", DerlemError.exit_code, kind=type(error).__name__)

    def _misused(self, ctx: click.Context, error: click.UsageError) -> Any:
        """Raise the error for click to show, or show it as JSON."""
        if not ctx.find_root().meta.get(JSON_ERRORS):
            raise error
        _fail(error.format_message(), error.exit_code, kind=type(error).__name__)


def _fail(message: str, exit_code: int, *, prefix: str = "Error: ", kind: str) -> NoReturn:
    """Show an error on stderr, as JSON where rows or log lines are JSON, and exit."""
    context = click.get_current_context(silent=True)
    if context is not None and context.find_root().meta.get(JSON_ERRORS):
        error = {"error": kind, "message": mask(message), "exit_code": exit_code}
        click.echo(to_json(error), err=True)
    else:
        echo(f"{prefix}{message}")
    sys.exit(exit_code)


def _prepare_process() -> None:
    """Tune this process for the command. The library alone never changes a process that imports derlem."""
    install_signal_handlers()
    tune_gc()
    skip_last_collection()
    block_pandas()
    # derlem uses no linear algebra, and idle threads of OpenBLAS would take processor time
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


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
@click.option("--dry-run", is_flag=True, help="Write nothing anywhere; show what would happen.")
@click.option("--test-mode", is_flag=True, help="Process a few items per source, in a separate workspace.")
@click.option(
    "--log-level",
    "log_levels",
    multiple=True,
    metavar="NAME=LEVEL",
    help="Level of a logger, such as fetch=DEBUG.",
)
@click.option(
    "--log-format", type=click.Choice(("text", "json")), help="Format of log lines.  [default: text]"
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Wait for another instance to end, instead of ending with exit code 4.",
)
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
    wait: float,
    verbose: bool,
) -> None:
    """Build the training corpus of a vision-language model.

    Declare sources and quotas in derlem.yaml. `derlem run` ingests the sources and builds an audited corpus.

    \b
    Example:
      derlem init && derlem run && derlem sql "FROM composition"
    """
    if log_format == "json":
        ctx.meta.update({JSON_ERRORS: True, JSON_MESSAGES: True})
    for pair in log_levels:
        if "=" not in pair:
            raise click.BadParameter(
                f"{pair!r} is not NAME=LEVEL, such as fetch=DEBUG", param_hint="--log-level"
            )
    levels = [f"log.levels.{pair}" for pair in log_levels]
    formats = [f"log.format={log_format}"] if log_format else []
    ctx.obj = Invocation(files, [*overrides, *levels, *formats], dry_run, test_mode, verbose, wait)
