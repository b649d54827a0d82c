"""Functions that need no project: write a first configuration, check machine and configuration."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from . import results
from .core.errors import ConfigError, DerlemError
from .settings.documents import DEFAULT_FILE

if TYPE_CHECKING:
    from .pipeline.doctor import Finding


def init(path: str | PathLike[str] = DEFAULT_FILE, *, dry_run: bool = False) -> results.InitResult:
    """Write a commented configuration to start from; ConfigError if the file exists."""
    from importlib.resources import files

    text = files("derlem.configs").joinpath("starter.yaml").read_text("utf-8")
    target = Path(path)
    if target.exists():
        raise ConfigError("the file exists already and is left as it is", file=target)
    if not dry_run:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    return results.InitResult(dry_run, target)


def doctor(
    *files: str | PathLike[str], overrides: Iterable[str] = (), test_mode: bool = False
) -> list[Finding]:
    """Check the machine, the configuration and its workspace; a wrong configuration is also a finding."""
    from .pipeline.doctor import (
        Finding,
        examine_copy,
        examine_machine,
        examine_options,
        examine_sources,
        examine_workspace,
    )
    from .project import open as open_project

    findings = [*examine_machine()]
    try:
        project = open_project(*files, overrides=overrides, test_mode=test_mode)
    except DerlemError as error:
        return [*findings, Finding("configuration", "wrong", str(error))]
    config = project.config
    names = ", ".join(source.name for source in config.sources)
    findings.append(Finding("configuration", "good", f"{len(config.sources)} sources: {names}"))
    findings += examine_sources(config.sources)
    findings += examine_options(config.ingest, config.pdf)
    findings += examine_copy(config.sync)
    if config.sample is None:
        findings.append(Finding("sample", "note", "none is configured: `run` ends after ingest"))
    else:
        from .sampling.errors import InfeasibleQuotas
        from .sampling.static_checks import check_quotas

        try:
            check_quotas(config.sample)
        except InfeasibleQuotas as error:
            findings.append(Finding("sample", "wrong", str(error)))
    return [*findings, *examine_workspace(project.workspace)]
