"""Whole draws from small catalogs, compared row by row with the contract written down in plain Python."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from derlem.sampling import draw, fast_draw
from derlem.sampling.draw import draw_sample
from derlem.sampling.errors import InfeasibleQuotas, Shortfall
from derlem.sampling.sample_options import SampleOptions
from tests.factories import quota_cases as cases
from tests.factories import sampling_reference as reference
from tests.factories.small_catalog import Place, Row, SmallCatalog


def sampled(
    catalog: SmallCatalog, raw: Mapping[str, Any], extend: str | None = None, *, memory: int = 10**9
) -> list[tuple[str, int, str, str]]:
    """Draw and return the manifest. A draw that takes more memory outside DuckDB uses the definition."""
    options = SampleOptions.model_validate({"name": "x", "extend": extend, **raw})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_draw, "MEMORY", memory)
        draw_sample(catalog.connection, options, "r")
    return catalog.manifest("x")


ways = st.sampled_from([10**9, 0])
"""The memory of the fast way, and of the definition."""


@st.composite
def catalogs(draw: st.DrawFn) -> tuple[list[Place], list[str], list[Row]]:
    """Strata of a few items with ties, duplicates within and across sources, and items that are not ready."""
    places = draw(cases.places())
    sources = draw(st.permutations(sorted({source for _, source in places})))
    rows: list[Row] = []
    for place in places:
        for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3, 5, 8]))):
            number = len(rows)
            again = draw(st.integers(0, 5)) == 0
            content = str(draw(st.integers(0, number))) if again else str(number)
            status = "failed" if draw(st.integers(0, 11)) == 0 else "ready"
            item_id = hashlib.md5(str(number).encode()).hexdigest()
            rows.append(Row(item_id, place[1], place[0], content, status))
    assume(rows)
    return places, sources, draw(st.permutations(rows))


@st.composite
def requests(draw: st.DrawFn, places: Sequence[Place], *, percentages: bool = True) -> dict[str, Any]:
    return {
        "seed": draw(st.sampled_from([0, 1, -5, 2**40])),
        "target": draw(st.integers(1, 40)),
        "balance": draw(st.sampled_from(["natural", "equal", {"temperature": 0.5}])),
        "min_per_source": draw(st.sampled_from([0, 1, 1])),
        "max_repeats": draw(st.sampled_from([1, 1, 2, 4])),
        "allow_shortfall": draw(st.sampled_from([True, True, False])),
        **draw(cases.quotas(places, percentages=percentages)),
    }


@given(data=st.data())
def test_a_draw_is_the_contract_in_any_order_of_rows(
    data: st.DataObject, small_catalog: SmallCatalog
) -> None:
    """And with quotas that do not depend on the target, the manifest for a smaller target is part of it."""
    places, sources, rows = data.draw(catalogs())
    absolute = data.draw(st.booleans())
    raw = data.draw(requests(places, percentages=not absolute))
    small_catalog.fill(rows, sources)
    small_catalog.connection.execute(f"SET threads = {data.draw(st.sampled_from([1, 2, 4]))}")
    try:
        expected = reference.sample(raw, rows, sources)
    except (reference.Infeasible, reference.Short) as error:
        wanted = Shortfall if isinstance(error, reference.Short) else InfeasibleQuotas
        with pytest.raises(wanted):
            sampled(small_catalog, raw)
        assert small_catalog.manifest("x") == []
        return
    drawn = sampled(small_catalog, raw, memory=data.draw(ways))
    assert drawn == expected
    content = {row.item_id: row.content for row in rows}
    taken = Counter(item for item, *_ in drawn)
    assert max(taken.values(), default=0) <= raw["max_repeats"]
    assert len({content[item] for item in taken}) == len(taken), "two items with the same bytes"
    seats = small_catalog.seats("x")
    assert Counter((category, source) for _, _, category, source in drawn) == Counter(
        {node: count for node, count in seats.items() if node[1] and count}
    )
    if absolute:
        try:
            smaller = {**raw, "target": data.draw(st.integers(1, raw["target"])), "allow_shortfall": True}
            small = reference.sample(smaller, rows, sources)
        except (reference.Infeasible, reference.Short):
            return
        assert [row for row in drawn if row in set(small)] == small, "not nested, or in another order"


@given(data=st.data())
def test_an_extension_keeps_all_that_is_valid_and_fills_up(
    data: st.DataObject, small_catalog: SmallCatalog
) -> None:
    places, sources, rows = data.draw(catalogs())
    raw = {**data.draw(requests(places)), "allow_shortfall": True}
    earlier = [
        (row.item_id, repeat)
        for row in data.draw(st.lists(st.sampled_from(rows), unique=True))
        for repeat in range(data.draw(st.sampled_from([1, 1, 1, 3])))
    ]
    small_catalog.fill(rows, sources)
    small_catalog.hold("before", [*earlier, ("0" * 32, 0)])
    try:
        expected = reference.sample(raw, rows, sources, earlier, extending=True)
    except reference.Infeasible:
        with pytest.raises(InfeasibleQuotas, match="shares"):
            sampled(small_catalog, raw, "before")
        return
    drawn = sampled(small_catalog, raw, "before", memory=data.draw(ways))
    assert drawn == expected
    valid = {row.item_id for row in reference.candidates(rows, sources, {item for item, _ in earlier})}
    stays = {(item, repeat) for item, repeat in earlier if item in valid and repeat < raw["max_repeats"]}
    assert stays <= {(item, repeat) for item, repeat, _, _ in drawn}


@pytest.mark.parametrize("missed", [1.0, 0.9, 1e-7])
def test_key_bounds_that_fail_change_nothing(
    missed: float, monkeypatch: pytest.MonkeyPatch, small_catalog: SmallCatalog
) -> None:
    monkeypatch.setattr(fast_draw, "MISSED", missed)
    rows = [
        Row(hashlib.md5(str(n).encode()).hexdigest(), f"s{n % 3}", f"c{n % 7}", str(n)) for n in range(2000)
    ]
    sources = ["s0", "s1", "s2"]
    small_catalog.fill(rows, sources)
    raw = {"seed": 3, "target": 700, "balance": "natural"}
    assert sampled(small_catalog, raw) == reference.sample(raw, rows, sources)


def test_the_same_draw_has_the_same_fingerprint_and_another_seed_another(small_catalog: SmallCatalog) -> None:
    rows = [Row(hashlib.md5(str(n).encode()).hexdigest(), "s", f"c{n % 3}", str(n)) for n in range(50)]
    options = SampleOptions(name="x", target=20)
    prints = []
    for order in (rows, rows[::-1]):
        small_catalog.fill(order, ["s"])
        prints.append(draw_sample(small_catalog.connection, options, "r").fingerprint)
    again = draw_sample(small_catalog.connection, options, "r2")
    assert not again.changed
    assert {*prints, again.fingerprint} == {prints[0]}
    other = draw_sample(small_catalog.connection, options.model_copy(update={"seed": 1}), "r")
    assert other.changed
    assert other.fingerprint != prints[0]
    stored = small_catalog.connection.execute(
        "SELECT corpus, selected, fingerprint FROM manifests"
    ).fetchall()
    assert stored == [("x", 20, other.fingerprint)]


def test_a_failure_while_storing_leaves_the_earlier_sample(small_catalog: SmallCatalog) -> None:
    rows = [Row(hashlib.md5(str(n).encode()).hexdigest(), "s", "c", str(n)) for n in range(50)]
    small_catalog.fill(rows, ["s"])
    before = sampled(small_catalog, {"target": 10})

    small_catalog.connection.execute("ALTER TABLE allocations RENAME TO elsewhere")
    with pytest.raises(duckdb.CatalogException, match="allocations"):
        sampled(small_catalog, {"target": 20})
    small_catalog.connection.execute("ALTER TABLE elsewhere RENAME TO allocations")
    assert small_catalog.manifest("x") == before
    assert small_catalog.seats("x")["", ""] == 10


def test_the_draw_is_fixed_for_ever(small_catalog: SmallCatalog) -> None:
    """A golden sample: other ids here mean that every corpus out there can no longer be rebuilt."""
    rows = [Row(hashlib.md5(str(n).encode()).hexdigest(), "s", f"c{n % 2}", str(n)) for n in range(100)]
    small_catalog.fill(rows, ["s"])
    result = draw_sample(small_catalog.connection, SampleOptions(name="x", seed=42, target=5), "r")
    assert [item for item, *_ in small_catalog.manifest("x")] == [
        "8613985ec49eb8f757ae6439e879bb2a",
        "70efdf2ec9b086079795c442636b55fb",
        "1679091c5a880faf6fb5e6087eb1b2dc",
        "735b90b4568125ed6c3f678819b6e058",
        "a684eceee76fc522773286a895bc8436",
    ]
    assert result.fingerprint == "c664f1e1bfddd66fe0a964bcec2ed766323faa29757f2be5479c207aafd2e585"


@pytest.mark.parametrize("memory", [10**9, 0])
def test_the_order_holds_over_many_batches_and_threads(
    memory: int, monkeypatch: pytest.MonkeyPatch, small_catalog: SmallCatalog
) -> None:
    """Among so many keys some agree in their first eight digits, which are all that is sorted at first."""
    monkeypatch.setattr(draw, "ROW_GROUP", 10_000)
    monkeypatch.setattr(draw, "GROUPS_AT_ONCE", 3)
    monkeypatch.setattr(fast_draw, "ITEMS_AT_ONCE", 30_000)
    small_catalog.fill([], ["s"])
    connection = small_catalog.connection
    connection.execute("SET threads = 4")
    connection.execute(
        """INSERT INTO items BY NAME
        SELECT md5(CAST(n AS VARCHAR)) AS item_id, 's' AS source, 'u' AS uri, '' AS locator, n AS ordinal,
            '' AS partition_key, 'c' || n % 50 AS category, 'ready' AS status, 1 AS attempts,
            sha256(CAST(n AS VARCHAR)) AS sha256, '{}' AS meta, '{}' AS locator_state, 1 AS images,
            '' AS revision, '' AS record_hash, '' AS options_hash, 'r' AS run,
            TIMESTAMP '2026-01-01' AS discovered_at, TIMESTAMP '2026-01-01' AS updated_at, 's/1' AS segment
        FROM range(300000) AS t(n)"""
    )
    drawn = sampled(small_catalog, {"seed": 9, "target": 200_000}, memory=memory)
    keys = [hashlib.md5(f"9:order:{item}".encode()).hexdigest() for item, *_ in drawn]
    assert keys == sorted(keys)
    assert len({key[:8] for key in keys}) < len(set(keys)) == 200_000


def test_nothing_temporary_is_left(small_catalog: SmallCatalog) -> None:
    rows = [Row(hashlib.md5(b"1").hexdigest(), "s", "c", "1")]
    small_catalog.fill(rows, ["s"])
    sampled(small_catalog, {"target": 1})
    left = "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'draw\\_%' ESCAPE '\\'"
    assert small_catalog.connection.execute(left).fetchall() == []
