"""`release` and `drop` as methods and commands: errors with a way out, and what a run does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import derlem
from derlem.cli import main


def test_a_released_corpus_stays(
    declaration: dict[str, Any], images: Path, demo: Path, tree_digest: Callable[[Path], dict[str, str]]
) -> None:
    project = derlem.Project(declaration, base=images.parent)
    assert project.run().ok
    assert project.release("small", dry_run=True).released_at is None
    released = project.release("small")
    assert released.released_at is not None and released.samples == 9
    folder = project.workspace.corpora / "small"
    before = tree_digest(folder)
    for refused in (project.sample, project.build):
        for dry_run in (True, False):
            with pytest.raises(derlem.CorpusReleased, match=r"sample\.name.*derlem drop small"):
                refused(dry_run=dry_run)

    shutil.copytree(demo / "clipart" / "plants", images / "plants")
    result = project.run()
    assert result.ok and result.released and result.sample is None and result.build is None
    declaration["sample"]["target"] = 12
    with pytest.raises(derlem.CorpusReleased, match="options changed since: target"):
        derlem.Project(declaration, base=images.parent).run()
    declaration["sample"] = {"name": "next", "target": 12, "extend": "small"}
    later = derlem.Project(declaration, base=images.parent)
    assert later.run().ok
    assert tree_digest(folder) == before

    [(item,)] = project.rows("SELECT item_id FROM manifest WHERE corpus = 'small' AND position = 3")[1]
    changes = project.withdraw(key=item, purge=True).corpora
    assert {(change.name, change.gone) for change in changes} == {("small", 1), ("next", 1)}
    assert not project.audit().failed
    assert tree_digest(folder) != before


def test_the_commands(declaration: dict[str, Any], images: Path) -> None:
    config = images.parent / "derlem.yaml"
    config.write_text(yaml.safe_dump({"workspace": "work", **declaration}))

    def call(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["-c", str(config), *arguments])
        assert result.exit_code == code, result.output
        return result.output

    call("run")
    assert "9 samples in 1 shards" in call("--dry-run", "release", "small")
    assert "released at 20" in call("release", "small")
    assert "derlem drop small" in call("sample", code=2)
    assert "the corpus is released" in call("run")
    assert "released, 9 samples in 1 shards" in call("--dry-run", "drop", "small")
    assert "removed" in call("drop", "small")
    assert "there is no manifest 'small'" in call("drop", "small", code=2)
    assert "corpus small: 9 samples" in call("run")


def test_quotas_that_contradict_each_other_stop_a_run_before_any_work(
    declaration: dict[str, Any], images: Path
) -> None:
    declaration["sample"]["quotas"] = {"food": {"share": 0.7}, "art": {"share": 0.7}}
    project = derlem.Project(declaration, base=images.parent)
    for dry_run in (True, False):
        with pytest.raises(derlem.InfeasibleQuotas, match=r"food 0\.7, art 0\.7"):
            project.run(dry_run=dry_run)
    assert not project.workspace.catalog.exists()
    config = images.parent / "derlem.yaml"
    config.write_text(yaml.safe_dump(declaration))
    found = {finding.check: (finding.state, finding.detail) for finding in derlem.doctor(config)}
    assert found["sample"][0] == "wrong" and "over 1" in found["sample"][1]
