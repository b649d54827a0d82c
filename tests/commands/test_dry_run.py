"""`--dry-run` writes nothing anywhere, in every command."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from derlem.cli import main
from tests.factories.demo_sources import SAMPLE, demo_sources

EVERY: dict[str, list[list[str]]] = {
    "init": [["new.yaml"]],
    "doctor": [[]],
    "run": [[], ["--refresh"]],
    "discover": [[], ["clipart"]],
    "ingest": [[]],
    "refresh": [[]],
    "retry": [[], ["--reason", "timeout"]],
    "sample": [[], ["--extend", "small"], ["--diff", "small", "small"]],
    "build": [[], ["small"]],
    "release": [["small"]],
    "drop": [["small"]],
    "publish": [["hf://org/small"]],
    "export": [["energon"], ["datasets"], ["fiftyone"]],
    "audit": [[]],
    "status": [[], ["--watch"]],
    "report": [[], ["--training-summary"]],
    "browse": [[]],
    "sync push": [[]],
    "sync pull": [[]],
    "sync status": [[]],
    "sql": [["FROM composition"], ["COPY items TO 'copied.csv'"]],
    "withdraw": [["--source", "clipart"], ["--where", "ordinal < 3", "--purge"], ["--purge"]],
    "catalog compact": [[]],
    "hosts": [[], ["--clear", "example.org"]],
    "catalog rebuild": [[]],
    "catalog repair": [[]],
    "catalog migrate": [[]],
}
"""Arguments to try, by command."""


def commands(group: click.Group, prefix: str = "") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name


def digest(*folders: Path) -> dict[str, str]:
    """All entries below the folders: kind, mode, time of change and content."""
    found = {}
    for folder in folders:
        for path in sorted([folder, *folder.rglob("*")]):
            status = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path)] = f"{status.st_mode:o} {status.st_mtime_ns} {content}"
    return found


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The working directory and the home."""
    here, home = tmp_path / "cwd", tmp_path / "home"
    here.mkdir()
    home.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    return [here, home]


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A folder for temporary files, which a command leaves empty."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def sources(images: Path) -> list[dict[str, Any]]:
    common = {"category": "{dir}", "caption": {"sidecar": ".txt"}, "license": "CC-PDDC"}
    return [{"name": "clipart", "adapter": "files", "path": str(images), **common}]


def test_every_command_is_tried() -> None:
    assert set(commands(main)) == set(EVERY)


@pytest.mark.parametrize("workspace", ["none", "discovered", "complete"])
def test_nothing_is_written(
    project: Callable[..., Any],
    demo: Path,
    tmp_path: Path,
    surroundings: list[Path],
    temporary: Path,
    workspace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = Path(shutil.copytree(demo / "clipart" / "food", tmp_path / "images"))
    (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    mine = project(sources(images), sample={"name": "small", "target": 9, "min_per_source": 0})
    if workspace == "discovered":
        mine.derlem("discover")
    elif workspace == "complete":
        mine.derlem("run")
        mine.derlem("withdraw", "--where", "ordinal = 0")
    *others, temporary = surroundings
    folders: list[Path] = [mine.config.parent, images, *others]
    before = digest(*folders)
    for command in commands(main):
        for arguments in EVERY[command]:
            called = ["-c", str(mine.config), "--dry-run", *command.split(), *arguments]
            result = CliRunner().invoke(main, called)
            assert not isinstance(result.exception, Exception) or result.exit_code, result.output
            assert digest(*folders) == before and not list(temporary.iterdir()), called
            if command.startswith("sync"):  # with a copy: tests/storage/test_sync.py
                assert result.exit_code == 2 and "no copy is configured" in result.stderr
            elif workspace == "complete" and not any("COPY" in each for each in arguments):
                assert result.exit_code == 0, (called, result.output, result.stderr)
            if workspace == "none" and command in ("catalog compact", "catalog migrate", "ingest"):
                assert result.exit_code == 1 and "there is no catalog" in result.stderr


def test_the_trial_workspace_is_examined(project: Callable[..., Any], demo: Path) -> None:
    mine = project(sources(demo / "clipart"))
    mine.derlem("--test-mode", "discover")
    assert not mine.work.exists()
    rows = mine.derlem("--test-mode", "doctor", "--format", "csv").stdout
    assert f"{mine.work}-test" in rows and "16 items" in rows
    assert "none yet" in mine.derlem("doctor", "--format", "csv").stdout


def test_a_missing_path_is_found_before_a_run(project: Callable[..., Any], demo: Path) -> None:
    mine = project(sources(demo / "nowhere"))
    found = mine.derlem("doctor", "--format", "csv", code=2).stdout
    assert "there is nothing at" in found
    for command in (["--dry-run", "run"], ["run"]):
        message = mine.derlem(*command, code=2).stderr
        assert f"{mine.config}:" in message and ".path: there is nothing at" in message


def test_doctor_and_a_wrong_configuration(project: Callable[..., Any], demo: Path) -> None:
    mine = project(sources(demo / "clipart"), smaple={})
    assert "did you mean 'sample'?" in mine.derlem("doctor", code=2).stdout.replace("\n", " ")


def test_options_of_derlem_precede_the_command(project: Callable[..., Any], demo: Path) -> None:
    mine = project(sources(demo / "clipart"))
    assert "place --dry-run before the command" in mine.derlem("run", "--dry-run", code=2).stderr
    assert "'foo' is not NAME=LEVEL" in mine.derlem("--log-level", "foo", "status", code=2).stderr


def test_a_complete_workspace_stays_as_it_is(project: Callable[..., Any], demo: Path) -> None:
    mine = project(demo_sources(demo), sample=SAMPLE)
    mine.derlem("run")
    before = digest(mine.config.parent)
    for command in (
        "run",
        "discover",
        "ingest",
        "sample",
        "build",
        "retry",
        "catalog compact",
        "catalog rebuild",
    ):
        mine.derlem("--dry-run", *command.split())
        assert digest(mine.config.parent) == before, command


def test_a_new_workspace_is_not_created(project: Callable[..., Any], demo: Path) -> None:
    mine = project(demo_sources(demo), sample=SAMPLE)
    before = digest(mine.config.parent)
    result = mine.derlem("--dry-run", "run")
    assert "clipart: 61 items" in result.stderr
    assert digest(mine.config.parent) == before
