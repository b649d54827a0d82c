"""Provides the command as a function, and configurations in separate folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from derlem.cli import main


@dataclass
class Project:
    """A configuration file, with methods for commands, queries and stored images."""

    config: Path

    @property
    def work(self) -> Path:
        return self.config.parent / "work"

    def derlem(self, *arguments: str, code: int = 0) -> Result:
        """Run a command; the test fails, with its messages, if it ends with another exit code."""
        result = CliRunner().invoke(main, ["-c", str(self.config), *arguments])
        assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
        return result

    def rows(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query, through `derlem sql`."""
        found: list[dict[str, Any]] = json.loads(self.derlem("sql", query, "--format", "json").stdout)
        return found

    def payload(self, item: dict[str, Any]) -> bytes:
        """The image of a row of `items`, read from its segment."""
        tar = (self.work / "store" / f"{item['segment']}.tar").read_bytes()
        return tar[item["offset"] : item["offset"] + item["length"]]


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Project]:
    """`project(sources, **sections)`: a configuration in a separate folder."""

    def make(sources: list[dict[str, Any]], name: str = "project", **sections: Any) -> Project:
        folder = tmp_path / name
        folder.mkdir()
        path = folder / "derlem.yaml"
        path.write_text(yaml.safe_dump({"workspace": "work", "sources": sources, **sections}))
        return Project(path)

    return make
