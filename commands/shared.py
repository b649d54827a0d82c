"""Shares code between commands: the global options, the opened project, the `--format` option."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.masking import mask
from ..core.printable import printable as printable
from ..core.printable import to_json as to_json

if TYPE_CHECKING:
    from ..project import Project

FORMATS = ("table", "json", "csv")

JSON_ERRORS, JSON_MESSAGES = "derlem.json_errors", "derlem.json_messages"
"""Keys of the root context's `meta`: whether errors, and all messages, are JSON."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """The global options, given before the command."""

    files: Sequence[Path]
    overrides: Sequence[str]
    dry_run: bool
    test_mode: bool
    verbose: bool
    wait: float = 0.0

    def project(self, *, workers: bool = False) -> Project:
        """Open the project and configure logging.

        With `workers` the parent of the worker processes starts first, and imports modules concurrently.
        """
        from ..project import open as open_project
        from .logs import Retention, configure_logs
        from .progress import TerminalProgress

        project = open_project(
            *self.files,
            overrides=self.overrides,
            test_mode=self.test_mode,
            progress=TerminalProgress(),
            command=" ".join(["derlem", *sys.argv[1:]]),
            warm_up=workers and not self.dry_run,
            wait=self.wait,
        )
        log = project.config.log
        if log.format == "json":
            click.get_current_context().find_root().meta.update({JSON_ERRORS: True, JSON_MESSAGES: True})
        configure_logs(
            None if self.dry_run else project.workspace.logs,
            level=log.level,
            levels=log.levels,
            as_json=log.format == "json",
            verbose=self.verbose,
            retention=Retention(int(log.max_bytes), log.files, log.days),
        )
        return project


invocation = click.make_pass_decorator(Invocation)
"""Passes the Invocation as a command's first argument."""


def listing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the `--format` option to a command that lists rows."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="Format of the rows on stdout, and with json of an error on stderr.",
    )(command)


def echo(message: str) -> None:
    """Write a message for the user to stderr, because stdout contains data only."""
    text = printable(mask(message))
    context = click.get_current_context(silent=True)
    if context is not None and context.find_root().meta.get(JSON_MESSAGES):
        text = to_json({"time": _now(), "level": "INFO", "logger": "derlem", "message": text})
    click.echo(text, err=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
