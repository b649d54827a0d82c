"""Defines the commands that give a corpus to others: `publish` and `export`."""

from __future__ import annotations

from pathlib import Path

import click

from .shared import Invocation, echo, invocation


@click.command()
@click.argument("target")
@click.argument("corpus", required=False)
@click.option("--public", is_flag=True, help="Create a public repository, or publish to one that is public.")
@invocation
def publish(call: Invocation, target: str, corpus: str | None, public: bool) -> None:
    """Upload a built corpus to a dataset repository of the Hugging Face hub.

    TARGET is hf://org/name; a new repository is private. Without CORPUS, the configured one is uploaded.
    Shards are uploaded one by one, and one commit names all files: a repeated command sends only what the
    hub lacks. The token is that of `hf auth login`, or HF_TOKEN.

    \b
    Example:
      derlem --dry-run publish hf://org/name
      derlem publish hf://org/name tr-vlm-v1
    """
    done = call.project().publish(target, corpus, public=public, dry_run=call.dry_run)
    extent = f"{done.files:,} files, {done.bytes:,} bytes"
    if done.dry_run:
        echo(f"corpus {done.name}: {extent} would be published to {done.url}")
        return
    visibility = "private" if done.private else "public"
    echo(f"corpus {done.name}: {extent}, {done.unchanged:,} of the files unchanged")
    echo(f"{done.url} ({visibility}), commit {done.commit[:12]}")


@click.command()
@click.argument("tool", type=click.Choice(("energon", "datasets", "fiftyone")))
@click.argument("corpus", required=False)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="File of the module, or folder for FiftyOne.  [default: load_<corpus>.py, <corpus>-fiftyone]",
)
@invocation
def export(call: Invocation, tool: str, corpus: str | None, output: Path | None) -> None:
    """Describe a built corpus for another tool.

    energon adds an index per tar and the folder .nv-meta to the corpus, for Megatron Energon; later builds
    and takedowns keep these up to date. datasets writes a Python module that loads the corpus. fiftyone
    writes the images and the JSON of a dataset to a new folder. Without CORPUS, the configured one is
    described.

    \b
    Example:
      derlem export energon tr-vlm-v1
      derlem export datasets tr-vlm-v1 --output load.py
      derlem export fiftyone tr-vlm-v1 --output fiftyone
    """
    found = call.project().export(tool, corpus, output=output, dry_run=call.dry_run)
    echo(f"{found.samples:,} samples {'would be ' if call.dry_run else ''}described for {tool}")
    click.echo(found.path)
