"""The `derlem` command: its options, its commands by name, and errors as exit codes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from . import __version__
from .commands.shared import Invocation
from .core.durable import disk_error
from .core.errors import DerlemError
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
    "status": "questions",
    "hosts": "questions",
    "sql": "questions",
    "withdraw": "corpora",
    "catalog": "workspace",
}
"""Each command's module in `commands/`, in the order in which a corpus is made."""


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
        try:
            return super().invoke(ctx)
        except DerlemError as error:
            _fail(str(error), error.exit_code)
        except click.NoSuchOption as error:
            name = error.option_name
            if not any(name in parameter.opts for parameter in self.params):
                raise
            message = f"{name} stands before the command: derlem {name} ..."
            raise click.UsageError(message, error.ctx) from error
        except BaseException as error:
            if (number := signal_behind(error)) is not None:
                _fail(
                    "Interrupted. Nothing that was committed is lost; the same command goes on.",
                    128 + number,
                    prefix="",
                )
            if (disk := disk_error(error)) is not None:
                _fail(str(disk), disk.exit_code)
            if not isinstance(error, OSError) or not (error.filename or isinstance(error, PermissionError)):
                raise
            # a file that the system refuses: its name and the cause are all that the user needs
            log.info("traceback", exc_info=True)
            where = f"{error.filename}: " if error.filename else ""
            _fail(f"{where}{error.strerror}", DerlemError.exit_code)


def _fail(message: str, exit_code: int, prefix: str = "Error: ") -> None:
    click.echo(f"{prefix}{message}", err=True)
    sys.exit(exit_code)


def _prepare_process() -> None:
    """Adjust this process, which is the command's own. A process that imports derlem is never adjusted."""
    install_signal_handlers()
    tune_gc()
    skip_last_collection()
    block_pandas()
    # nothing here does linear algebra: threads for it would only be started, and spin
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
    for pair in log_levels:
        if "=" not in pair:
            raise click.BadParameter(
                f"{pair!r} is not NAME=LEVEL, such as fetch=DEBUG", param_hint="--log-level"
            )
    levels = [f"log.levels.{pair}" for pair in log_levels]
    formats = [f"log.format={log_format}"] if log_format else []
    ctx.obj = Invocation(files, [*overrides, *levels, *formats], dry_run, test_mode, verbose)
