"""Legitimate sequences of work over several corpora end well: later changes are warnings, or silent."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import derlem

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def two_sources(images: Path, demo: Path) -> dict[str, Any]:
    """A configuration of two sources, and a first corpus `one`; a folder of plants lies beside them."""
    shutil.copytree(demo / "clipart" / "animals" / "fish", images.parent / "fish")
    shutil.copytree(demo / "clipart" / "plants", images.parent / "plants")
    common = {"adapter": "files", "caption": {"sidecar": ".txt"}}
    return {
        "sources": [
            {"name": "food", "path": "images", "license": "CC-PDDC", "category": "food/{dir}", **common},
            {"name": "fish", "path": "fish", "license": "CC0-1.0", "category": "fish", **common},
        ],
        "sample": {"name": "one", "seed": 5, "target": 12},
    }


def another_name(declared: dict[str, Any]) -> None:
    declared["sample"]["name"] = "two"


def new_source(declared: dict[str, Any]) -> None:
    declared["sources"].append({**declared["sources"][0], "name": "plants", "path": "plants"})
    declared["sample"]["target"] = 16


def license_rule(declared: dict[str, Any]) -> None:
    declared["sample"]["licenses"] = {"deny": ["CC0-1.0"]}


def corrected_license(declared: dict[str, Any]) -> None:
    declared["sources"][1]["license"] = "CC-BY-4.0"


def renamed_source(declared: dict[str, Any]) -> None:
    declared["sources"][1]["name"] = "sea"


def category_of_nothing(declared: dict[str, Any]) -> None:
    declared["sample"]["quotas"] = {"fish": {"max": 0}}


SEQUENCES: dict[str, tuple[Edit, set[str], set[str]]] = {
    "new source": (new_source, set(), set()),
    "license rule": (license_rule, {"source_excluded"}, {"source_excluded"}),
    "corrected license": (corrected_license, set(), {"corpus_behind_catalog"}),
    "renamed source": (
        renamed_source,
        {"items_of_gone_source"},
        {"items_of_gone_source", "corpus_behind_catalog"},
    ),
    "category of nothing": (category_of_nothing, {"source_excluded"}, {"source_excluded"}),
}
"""An edit with the warnings that follow in the same corpus, and in the earlier one beside a new corpus."""


def warnings(report: derlem.results.AuditReport | None) -> set[str]:
    assert report is not None and not report.failed
    return {found.audit.name for found in report.findings}


@pytest.mark.short(4)
@pytest.mark.parametrize("renamed", [False, True], ids=["same name", "new name"])
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_a_sequence_ends_well(
    two_sources: dict[str, Any], images: Path, sequence: str, renamed: bool
) -> None:
    edit, same, beside = SEQUENCES[sequence]
    first = derlem.Project(copy.deepcopy(two_sources), base=images.parent).run()
    assert first.ok and warnings(first.audit) == set()
    edit(two_sources)
    if renamed:
        another_name(two_sources)
    project = derlem.Project(two_sources, base=images.parent)
    if not renamed:
        project.discover()
        assert not project.audit().failed, "before the corpus is drawn again"
        project.ingest()
        project.sample()
        assert not project.audit().failed, "before the corpus is built again"
    result = project.run()
    assert result.ok and warnings(result.audit) == (beside if renamed else same)
    again = project.run()
    assert again.ok and again.sample is not None and not again.sample.changed
    assert warnings(again.audit) == warnings(result.audit)


def test_a_category_of_nothing_is_excluded(two_sources: dict[str, Any], images: Path) -> None:
    category_of_nothing(two_sources)
    project = derlem.Project(two_sources, base=images.parent)
    assert project.run().ok
    assert project.rows("SELECT DISTINCT source FROM manifest")[1] == [("food",)]
    [(source, reason, items)] = project.rows("SELECT source, reason, items FROM excluded_sources")[1]
    assert (source, reason) == ("fish", "max 0") and items > 0


def test_a_record_that_left_its_source_leaves_a_warning(two_sources: dict[str, Any], images: Path) -> None:
    derlem.Project(copy.deepcopy(two_sources), base=images.parent).run()
    for path in (images.parent / "fish").glob("[a-d]*"):
        path.unlink()
    another_name(two_sources)
    two_sources["sample"]["target"] = 10
    result = derlem.Project(two_sources, base=images.parent).run()
    assert result.ok and warnings(result.audit) == {"corpus_behind_catalog"}
    assert result.audit is not None
    [found] = [found for found in result.audit.findings if found.audit.name == "corpus_behind_catalog"]
    assert {(row["corpus"], row["change"]) for row in found.examples} == {("one", "not ready")}
