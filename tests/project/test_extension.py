"""An extension stays: by `sample --extend`, and as `sample.extend` of the configuration."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import derlem

Digest = Callable[[Path], dict[str, str]]


def rows(project: derlem.Project, name: str) -> list[tuple[Any, ...]]:
    return project.rows(f"FROM manifest WHERE corpus = '{name}' ORDER BY position")[1]


def contents(digests: dict[str, str]) -> dict[str, str]:
    """The files and their hashes, without times."""
    return {path: digest.split()[-1] for path, digest in digests.items() if Path(path).is_file()}


def test_a_run_keeps_an_extension(
    declaration: dict[str, Any], images: Path, demo: Path, tree_digest: Digest
) -> None:
    first = derlem.Project(declaration, base=images.parent)
    assert first.run().ok
    shutil.copytree(demo / "clipart" / "plants", images / "plants")
    declaration["sample"] = {"name": "larger", "seed": 5, "target": 14}
    larger = derlem.Project(declaration, base=images.parent)
    larger.discover()
    larger.ingest()
    larger.sample(extend="small")
    larger.build()
    kept = {row[2] for row in rows(first, "small")}
    extended = rows(larger, "larger")
    assert kept < {row[2] for row in extended}
    corpora = larger.workspace.corpora
    before = contents(tree_digest(corpora))
    for _ in range(2):
        again = larger.run()
        assert again.ok and again.sample is not None and again.build is not None
        assert (again.sample.changed, again.sample.why, again.build.rewritten) == (False, "", 0)
        assert rows(larger, "larger") == extended and contents(tree_digest(corpora)) == before

    declaration["sample"]["target"] = 16
    result = derlem.Project(declaration, base=images.parent).run()
    assert result.ok and result.sample is not None
    assert result.sample.why == "options changed (target)"
    assert kept < {row[2] for row in rows(larger, "larger")}, "still an extension"

    declaration["sample"] = {**declaration["sample"], "name": "other", "extend": "small"}
    configured = derlem.Project(declaration, base=images.parent)
    assert configured.plan().nodes[0].kept == 9
    assert configured.run().ok
    assert [row[1:] for row in rows(configured, "other")] == [row[1:] for row in rows(larger, "larger")]
    assert "earlier manifest `small`" in (corpora / "other" / "README.md").read_text("utf-8")


def test_a_sample_grows_with_its_sources(declaration: dict[str, Any], images: Path, demo: Path) -> None:
    declaration["sample"]["extend"] = "small"
    project = derlem.Project(declaration, base=images.parent)
    assert project.run().ok
    before = {row[2] for row in rows(project, "small")}
    shutil.copytree(demo / "clipart" / "plants", images / "plants")
    declaration["sample"]["target"] = 15
    result = derlem.Project(declaration, base=images.parent).run()
    assert result.ok and result.sample is not None and result.sample.plan.nodes[0].kept == 9
    assert "more candidates" in result.sample.why
    after = {row[2] for row in rows(project, "small")}
    assert before < after and len(after) == 15
