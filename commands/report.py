"""Defines the command `report`: the page on a corpus, and the public summary of its training content."""

from __future__ import annotations

from pathlib import Path

import click

from .shared import Invocation, echo, invocation


@click.command()
@click.argument("corpus", required=False)
@click.option("--compare", metavar="CORPUS", help="Another manifest, to compare with.")
@click.option(
    "--training-summary",
    "training_summary",
    is_flag=True,
    help="Write the public summary of training content (AI Act, Article 53(1)(d)), Markdown and JSON.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="File of the page, or of the summary without its suffix.  [default: report.html, training-summary]",
)
@invocation
def report(
    call: Invocation, corpus: str | None, compare: str | None, training_summary: bool, output: Path | None
) -> None:
    """Write a report on a corpus: one HTML page that loads nothing from elsewhere.

    The page shows composition, quotas with reasons, losses, distributions, licenses, duplicates, opt-outs,
    runs, audits and images. Without CORPUS it describes the manifest that was drawn last, and without any
    manifest all ready items.

    \b
    Example:
      derlem report
      derlem report tr-vlm-v2 --compare tr-vlm-v1 --output tr-vlm-v2.html
      derlem report --training-summary
    """
    if training_summary:
        if compare:
            raise click.UsageError("--compare is for the page, not for --training-summary")
        summary = call.project().training_summary(corpus)
        stem = output or Path("training-summary")
        _write(call, stem.with_name(f"{stem.name}.md"), summary.markdown())
        _write(call, stem.with_name(f"{stem.name}.json"), summary.json())
        return
    page = call.project().report(corpus, compare=compare)
    _write(call, output or Path("report.html"), page.html)


def _write(call: Invocation, path: Path, text: str) -> None:
    from ..core.durable import replace_file

    data = text.encode()
    if call.dry_run:
        echo(f"dry run: would write {path}, {len(data):,} bytes")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, data)
    echo(f"{path}: {len(data):,} bytes")
