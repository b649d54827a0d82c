"""Defines the command `browse`."""

from __future__ import annotations

import click

from .shared import Invocation, echo, invocation


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8265, show_default=True, help="Port; 0 for any free one.")
@click.option(
    "--token",
    envvar="DERLEM_BROWSE_TOKEN",
    help="Require this token.  [default: a random one, none on loopback]",
)
@invocation
def browse(call: Invocation, host: str, port: int, token: str | None) -> None:
    """Look at items, manifests and runs in a web browser.

    The server reads the workspace and writes nothing, also while a run is working. The server answers this
    machine only; another --host requires the token that is part of the printed address.

    \b
    Example:
      derlem browse
      derlem browse --port 0
    """
    if call.dry_run:
        echo(f"would listen on {host}:{port}")
        return
    from ..browse.server import serve

    def ready(address: str) -> None:
        click.echo(address, err=True)  # `echo` would mask the token
        echo("Ctrl+C ends the server")

    serve(call.project(), host, port, token, ready)
