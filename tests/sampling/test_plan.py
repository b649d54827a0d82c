"""The explanation of a sample: why each node got what it got, what falls short, what changed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import duckdb
import pytest

from derlem.catalog.connection import read_catalog, write_catalog
from derlem.core.errors import UnknownManifest
from derlem.core.workspace import Workspace
from derlem.sampling.diff import diff_manifests
from derlem.sampling.draw import draw_sample
from derlem.sampling.errors import InfeasibleQuotas, Shortfall
from derlem.sampling.plan import Plan, plan_sample
from derlem.sampling.sample_options import SampleOptions
from tests.factories.catalog import insert_source
from tests.factories.small_catalog import Row, SmallCatalog


def fill(catalog: SmallCatalog, **strata: int) -> list[Row]:
    """`a_b__s=5`: five items of source s in category a/b."""
    rows: list[Row] = []
    for place, count in strata.items():
        category, _, source = place.partition("__")
        for _ in range(count):
            item = hashlib.md5(f"{place}{len(rows)}".encode()).hexdigest()
            rows.append(Row(item, source, category.replace("_", "/"), item))
    catalog.fill(rows, sorted({row.source for row in rows}))
    return rows


def plan(catalog: SmallCatalog, extend: str | None = None, **raw: Any) -> Plan:
    options = SampleOptions.model_validate({"name": "x", "extend": extend, **raw})
    return plan_sample(catalog.connection, options)


def why(made: Plan) -> dict[str, str]:
    return {node.label: node.why for node in made.nodes}


def test_every_node_says_why(small_catalog: SmallCatalog) -> None:
    fill(small_catalog, doc__s=40, doc_news__s=400, photo__s=1000, photo__t=3, art__s=20)
    made = plan(
        small_catalog,
        target=300,
        quotas={
            "doc": {"share": 0.5, "children": {"news": {"max": "30%"}}},
            "art": {"share": "20%"},
            "maps": {"max": 10},
        },
    )
    reasons = why(made)
    assert reasons["(all)"] == "target 300"
    assert reasons["doc"] == "all 130 that the caps below it allow"
    assert reasons["doc/news"] == "max 30%"
    assert reasons["art"] == "all 20 available"
    assert reasons["photo"] == "natural: 30 % of 300; with the shortfall of art, doc"
    assert reasons["photo [t]"] == "floor: min_per_source 1"
    assert reasons["maps"] == "no candidates"
    assert made.warnings == ("a quota is declared for maps, which has no candidates",)
    assert [node.label for node in made.nodes][:3] == ["(all)", "art", "art [s]"]
    assert sum(node.allocated for node in made.nodes if node.source) == 300


def test_floors_are_explained_on_both_sides(small_catalog: SmallCatalog) -> None:
    fill(small_catalog, a__s=1000, b__s=20)
    reasons = why(plan(small_catalog, target=100, quotas={"b": {"min": "15%"}}))
    assert reasons["b"] == "floor: min 15%"
    assert reasons["a"] == "natural: 98.04 % of 100; less for the floors of b"


def test_a_misspelt_category_is_named_with_its_neighbour(small_catalog: SmallCatalog) -> None:
    fill(small_catalog, photos_cats__web=5)
    made = plan(
        small_catalog,
        target=3,
        quotas={"photos": {"children": {"cast": {}}, "sources": {}}, "fotos": {"share": 0.5}},
    )
    assert made.warnings == (
        "a quota is declared for fotos, which has no candidates; did you mean 'photos'?",
        "a quota is declared for photos/cast, which has no candidates; did you mean 'cats'?",
    )


def test_a_floor_for_what_is_not_there_is_infeasible(small_catalog: SmallCatalog) -> None:
    fill(small_catalog, photos__web=5)
    with pytest.raises(InfeasibleQuotas) as error:
        plan(small_catalog, target=5, quotas={"fotos": {"min": "40%"}, "photos": {"min": 7}})
    assert [(p.category, p.wanted, p.possible) for p in error.value.problems] == [
        ("fotos", 2, 0),
        ("photos", 7, 5),
    ]
    assert "photos: min 7 is over the 5 available" in str(error.value)
    assert "fotos: min 40% (2) is over the 0 available" in str(error.value)


def test_a_target_over_what_there_is_names_what_limits_it(small_catalog: SmallCatalog) -> None:
    fill(small_catalog, a__s=10, b__s=50)
    quotas = {"b": {"max": 20}}
    with pytest.raises(Shortfall) as error:
        plan(small_catalog, target=100, quotas=quotas)
    assert (error.value.target, error.value.possible) == (100, 30)
    assert error.value.limits == ("a [s]: all 10 available", "b: max 20")
    made = plan(small_catalog, target=100, quotas=quotas, allow_shortfall=True)
    assert (made.total, made.shortfall) == (30, 70)
    assert why(made)["(all)"] == "shortfall: 30 of the target 100 can be had"


def test_an_extension_says_where_it_could_not_keep_its_quotas(small_catalog: SmallCatalog) -> None:
    rows = fill(small_catalog, a__s=10, b__s=10)
    small_catalog.hold("before", [(row.item_id, 0) for row in rows if row.category == "a"])
    made = plan(small_catalog, extend="before", target=12, quotas={"a": {"max": 4}})
    assert "could not keep its quota: 10 must stay or are floors below it, over max 4" in why(made)["a"]
    assert {node.label: node.allocated for node in made.nodes} == {
        "(all)": 12,
        "a": 10,
        "a [s]": 10,
        "b": 2,
        "b [s]": 2,
    }
    assert made.lost == 0


def test_an_extension_counts_what_was_lost(small_catalog: SmallCatalog) -> None:
    rows = fill(small_catalog, a__s=10)
    small_catalog.hold("before", [(row.item_id, 0) for row in rows[:4]] + [("f" * 32, 0)])
    small_catalog.connection.execute(
        "UPDATE items SET status = 'withdrawn' WHERE item_id = ?", [rows[0].item_id]
    )
    made = plan(small_catalog, extend="before", target=5)
    assert (made.lost, made.nodes[0].kept) == (2, 3)


def test_a_plan_writes_nothing_and_works_read_only(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with write_catalog(workspace) as connection:
        insert_source(connection, "s")
    before = workspace.catalog.read_bytes()
    with read_catalog(workspace) as connection:
        with pytest.raises(Shortfall):
            plan_sample(connection, SampleOptions(name="x", target=1))
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("DELETE FROM manifests")
    assert workspace.catalog.read_bytes() == before


def test_a_plan_holds_the_tree_and_the_excluded(small_catalog: SmallCatalog) -> None:
    rows = fill(small_catalog, a__s=10)
    small_catalog.connection.execute(
        "UPDATE items SET status = 'failed' WHERE item_id = ?", [rows[0].item_id]
    )
    made = plan(small_catalog, target=5)
    assert [node.label for node in made.nodes] == ["(all)", "a", "a [s]"]
    assert made.excluded == {"failed": 1}


def test_a_comparison_adds_up_at_every_node(small_catalog: SmallCatalog) -> None:
    fill(small_catalog, a_b__s=10, a_b__t=10, c__s=10, __s=4)
    for name, seed in (("x", 1), ("y", 2)):
        options = SampleOptions(name=name, seed=seed, target=17)
        draw_sample(small_catalog.connection, options, "r")
    x, y = set(small_catalog.manifest("x")), set(small_catalog.manifest("y"))
    diff = diff_manifests(small_catalog.connection, "x", "y")
    nodes = {(node.category, node.source): (node.went, node.came, node.stayed) for node in diff.nodes}
    assert nodes["", ""] == (len(x - y), len(y - x), len(x & y))
    assert (
        nodes["a", ""]
        == nodes["a/b", ""]
        == tuple(sum(nodes["a/b", source][place] for source in "st") for place in range(3))
    )
    [root, *_] = diff.nodes
    assert root.label == "(all)" and root.stayed + root.went == root.stayed + root.came == 17
    with pytest.raises(UnknownManifest):
        diff_manifests(small_catalog.connection, "x", "z")


def test_the_quota_report_holds_what_the_manifest_holds(small_catalog: SmallCatalog) -> None:
    fill(small_catalog, a_b__s=10, a_b__t=10, a__s=3, c__s=10, __s=4)
    draw_sample(small_catalog.connection, SampleOptions(name="x", target=17), "r")
    report = small_catalog.connection.execute(
        "SELECT node, source, allocated, selected FROM quota_report WHERE corpus = 'x'"
    ).fetchall()
    assert all(allocated == selected for *_, allocated, selected in report)
    assert {(node, source): selected for node, source, _, selected in report} == small_catalog.seats("x")
    small_catalog.connection.execute(
        "DELETE FROM manifest_rows WHERE item_id IN "
        "(SELECT item_id FROM manifest WHERE category = 'a/b' AND source = 't')"
    )
    off = small_catalog.connection.execute(
        "SELECT node, source FROM quota_report WHERE allocated <> selected ORDER BY ALL"
    ).fetchall()
    assert off == [("", ""), ("a", ""), ("a/b", ""), ("a/b", "t")]


def test_no_candidate_is_an_error_in_any_case(small_catalog: SmallCatalog) -> None:
    fill(small_catalog, a__s=3)
    with pytest.raises(Shortfall) as error:
        plan(small_catalog, target=2, allow_shortfall=True, where="width > 1000000")
    assert error.value.possible == 0 and "allow_shortfall" not in str(error.value)
    assert "3 items are no candidates" in str(error.value)


def test_a_mistyped_category_with_a_floor_names_the_nearest(small_catalog: SmallCatalog) -> None:
    fill(small_catalog, photos__s=30)
    with pytest.raises(InfeasibleQuotas, match="did you mean 'photos'"):
        plan(small_catalog, target=20, quotas={"fotos": {"min": 10}})
    with pytest.raises(Shortfall, match="did you mean 'photos'"):
        plan(small_catalog, target=40, quotas={"fotos": {"max": 10}})
