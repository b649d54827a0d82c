"""Commands on new, wrong, changed and trial configurations."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.factories.demo_sources import SAMPLE, demo_sources

MakeProject = Callable[..., Any]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pth": "x"}, "did you mean 'path'?"),
        ({"path": "nowhere"}, "nowhere"),
        ({"path": "empty"}, "no items"),
        ({"category": "{dri}"}, "did you mean {dir}?"),
        ({"adapter": "filse"}, "did you mean 'files'?"),
        ({"license": ""}, "license"),
    ],
)
def test_a_wrong_declaration_is_one_error_and_nothing_is_written(
    project: MakeProject, demo: Path, change: dict[str, str], message: str
) -> None:
    good, _ = demo_sources(demo)
    bad = {**good, "name": "second", **change}
    if bad["path"] in ("nowhere", "empty"):
        bad["path"] = f"../{bad['path']}"
    mine = project([good, bad])
    (mine.config.parent.parent / "empty").mkdir()
    result = mine.derlem("run", code=2)
    assert message in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not mine.work.exists()


def test_init_writes_a_configuration_that_loads(tmp_path: Path, demo: Path) -> None:
    from click.testing import CliRunner

    from derlem.cli import main
    from derlem.settings.load import load

    path = tmp_path / "new" / "derlem.yaml"
    assert CliRunner().invoke(main, ["init", str(path)]).exit_code == 0
    assert load([path]).config.sample is not None
    before = path.read_text()
    assert CliRunner().invoke(main, ["init", str(path)]).exit_code == 2
    assert path.read_text() == before
    assert list(path.parent.iterdir()) == [path]


def test_the_audit_warns_of_samples_of_a_removed_source(project: MakeProject, demo: Path) -> None:
    sources = demo_sources(demo)
    mine = project(sources, sample=SAMPLE)
    mine.derlem("run")
    fewer = project(sources[:1], name="fewer", sample=SAMPLE)
    shutil.move(mine.work, fewer.work)
    fewer.derlem("discover")
    result = fewer.derlem("audit", "--format", "json")
    found = {row["audit"]: row["first rows"] for row in json.loads(result.stdout) if row["rows"]}
    assert set(found) == {"corpus_behind_catalog", "items_of_gone_source"}
    assert {row["change"] for row in found["corpus_behind_catalog"]} == {"source gone"}
    fewer.derlem("sample")
    fewer.derlem("build")
    fewer.derlem("audit")


def test_test_mode_processes_a_few_items_in_its_own_workspace(project: MakeProject, demo: Path) -> None:
    mine = project(demo_sources(demo), sample={**SAMPLE, "target": 10_000}, test_mode={"items": 5})
    mine.derlem("--test-mode", "run")
    assert not mine.work.exists()
    trial = mine.config.parent / "work-test"
    assert json.loads((trial / "corpora" / "s" / "stats.json").read_text())
    result = mine.derlem(
        "--test-mode", "sql", "SELECT source, count(*) AS n FROM items GROUP BY ALL", "--format", "json"
    )
    assert {row["source"]: row["n"] for row in json.loads(result.stdout)} == {"clipart": 5, "people": 5}
