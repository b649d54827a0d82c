"""Every command is documented, and the generated pages of `docs/reference/` are current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from derlem.cli import main

ROOT = Path(__file__).resolve().parents[2]


def all_commands(group: click.Group, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found.append((*prefix, name))
        if isinstance(command, click.Group):
            found += all_commands(command, (*prefix, name))
    return found


@pytest.mark.parametrize("command", all_commands(main), ids=" ".join)
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*command, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output and f"derlem {' '.join(command)}" in result.output


def test_the_generated_references_are_current() -> None:
    check = subprocess.run([sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True)
    assert check.returncode == 0, check.stderr.decode()


def test_help_imports_no_heavy_library() -> None:
    code = "import sys, derlem.cli; print([m for m in sys.modules if '.' not in m])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in (
        "duckdb",
        "pydantic",
        "pyarrow",
        "PIL",
        "rich",
        "numpy",
        "datasets",
        "scrapy",
        "boto3",
        "yaml",
    ):
        assert f"'{heavy}'" not in loaded, heavy
