"""The manual agrees with the code: its configurations are valid, the functions it names exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from derlem.settings.load import load

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SOURCE = {"name": "x", "adapter": "files", "path": ".", "license": "CC0-1.0"}
SAMPLE = {"name": "x", "target": 1}


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """(page, text) of every fenced block of a language."""
    for page in PAGES:
        for block in re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
            yield page.relative_to(ROOT).as_posix(), block


@pytest.mark.parametrize(("page", "block"), list(blocks("yaml")))
def test_every_configuration_is_valid(page: str, block: str, tmp_path: Path) -> None:
    values: Any = yaml.safe_load(block)
    if isinstance(values, list):
        values = {"sources": values}
    values.setdefault("sources", [SOURCE])
    if "sample" in values:
        values["sample"] = SAMPLE | values["sample"]
    file = tmp_path / "derlem.yaml"
    file.write_text(yaml.safe_dump(values), "utf-8")
    load([file])


def defined(path: str) -> set[str]:
    """Names of functions, classes and methods (`Class.method`) that a module defines."""
    found: set[str] = set()
    for node in ast.parse((ROOT / path).read_text("utf-8")).body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, FUNCTIONS)}
    return found


def test_every_function_that_is_named_exists() -> None:
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    named = re.findall(r"`((?:\w+/)*\w+\.py): ([\w.]+)`", text)
    missing = [
        f"{path}: {name}" for path, name in named if not (ROOT / path).exists() or name not in defined(path)
    ]
    assert not missing


def test_every_file_that_is_named_exists() -> None:
    text = "\n".join(page.read_text("utf-8") for page in [*PAGES, ROOT / "CONTRIBUTING.md"])
    named = re.findall(
        r"`((?:sql|tests|docs|configs|catalog|pipeline|adapters)/[\w/.]+\.(?:py|sql|md|sh))", text
    )
    assert not [path for path in named if not (ROOT / path).exists()]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 200
