"""A stored manifest stays until candidates or options change, and a redraw reports what changed."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from derlem.catalog.models import now
from derlem.core.errors import UnknownManifest
from derlem.sampling import fast_draw
from derlem.sampling.draw import SampleResult, draw_sample
from derlem.sampling.errors import InfeasibleQuotas
from derlem.sampling.redraw import keep_extension
from derlem.sampling.sample_options import SampleOptions
from tests.factories.small_catalog import Row, SmallCatalog


def rows(start: int, stop: int, source: str = "s") -> list[Row]:
    numbers = range(start, stop)
    return [Row(hashlib.md5(str(n).encode()).hexdigest(), source, f"c{n % 2}", str(n)) for n in numbers]


def drawn(catalog: SmallCatalog, run: str = "r", **raw: Any) -> SampleResult:
    options = SampleOptions.model_validate({"name": "x", "target": 10, **raw})
    return draw_sample(catalog.connection, options, run)


def stored(catalog: SmallCatalog) -> list[Any]:
    tables = ("manifests", "manifest_rows", "allocations", "exclusions")
    return [catalog.connection.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in tables]


@pytest.mark.parametrize("memory", [10**9, 0])
def test_an_unchanged_draw_writes_nothing(
    memory: int, small_catalog: SmallCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_draw, "MEMORY", memory)
    small_catalog.fill(rows(0, 40), ["s"])
    first = drawn(small_catalog)
    assert (first.changed, first.why) == (True, "")
    before = stored(small_catalog)
    again = drawn(small_catalog, "another run")
    assert (again.changed, again.why, again.fingerprint) == (False, "", first.fingerprint)
    assert stored(small_catalog) == before


def test_a_redraw_names_what_changed(small_catalog: SmallCatalog) -> None:
    small_catalog.fill(rows(0, 40), ["s"])
    drawn(small_catalog)
    assert drawn(small_catalog, seed=2, target=12).why == "options changed (seed, target)"
    small_catalog.add(rows(40, 90))
    small_catalog.connection.execute("UPDATE items SET status = 'failed' WHERE category = 'c1'")
    small_catalog.merged()
    assert drawn(small_catalog, seed=2, target=12).why == "25 more candidates, 20 fewer candidates"
    small_catalog.connection.execute("UPDATE items SET item_id = md5(item_id)")
    small_catalog.merged()
    assert drawn(small_catalog, seed=2, target=12).why == "other candidates, as many as before"


def test_candidates_that_change_no_row_change_only_the_counts(small_catalog: SmallCatalog) -> None:
    small_catalog.fill(rows(0, 40), ["s"])
    raw: dict[str, Any] = {"quotas": {"c0": {"share": "1/2"}, "c1": {"share": "1/2"}}}
    drawn(small_catalog, **raw)
    before = stored(small_catalog)
    taken = {item for item, *_ in small_catalog.manifest("x")}
    unselected = next(row.item_id for row in rows(0, 40) if row.item_id not in taken)
    small_catalog.connection.execute("UPDATE items SET status = 'failed' WHERE item_id = ?", [unselected])
    small_catalog.merged()
    result = drawn(small_catalog, "another run", **raw)
    assert not result.changed and result.plan.excluded == {"failed": 1}
    after = stored(small_catalog)
    assert (
        after[:2] == before[:2] and after[2] != before[2] and [row[3:] for row in after[3]] == [("failed", 1)]
    )


def test_a_sample_grows_in_place(small_catalog: SmallCatalog) -> None:
    """`extend` with the sample's own name: the first draw has nothing to keep, and obeys its quotas."""
    small_catalog.fill(rows(0, 40), ["s"])
    with pytest.raises(InfeasibleQuotas):
        drawn(small_catalog, extend="x", quotas={"c0": {"min": 30}})
    drawn(small_catalog, extend="x")
    first = set(small_catalog.manifest("x"))
    assert not drawn(small_catalog, extend="x").changed
    small_catalog.add(rows(40, 400))
    grown = drawn(small_catalog, extend="x", target=30)
    assert grown.why == "options changed (target), 360 more candidates"
    assert first < set(small_catalog.manifest("x")) and grown.selected == 30
    assert not drawn(small_catalog, extend="x", target=30).changed


def test_the_extension_of_a_stored_manifest_is_kept(small_catalog: SmallCatalog) -> None:
    connection = small_catalog.connection
    small_catalog.fill(rows(0, 40), ["s"])
    draw_sample(connection, SampleOptions(name="before", target=10), "r")
    small_catalog.add(rows(40, 400))
    extended = drawn(small_catalog, extend="before", target=20)
    plain = SampleOptions(name="x", target=20)
    kept = keep_extension(connection, plain)
    assert kept.extend == "before" and not draw_sample(connection, kept, "r").changed
    assert keep_extension(connection, SampleOptions(name="y", target=20)).extend is None
    assert draw_sample(connection, plain, "r").why == "options changed (extend)"
    assert drawn(small_catalog, extend="before", target=20).fingerprint == extended.fingerprint
    connection.execute("DELETE FROM manifests WHERE corpus = 'before'")
    assert keep_extension(connection, plain).extend == "x"
    with pytest.raises(UnknownManifest):
        drawn(small_catalog, extend="before", target=20)


def test_a_manifest_with_withdrawn_rows_is_filled_up(small_catalog: SmallCatalog) -> None:
    small_catalog.fill(rows(0, 40), ["s"])
    drawn(small_catalog)
    gone = small_catalog.manifest("x")[3][0]
    for statement in (
        "DELETE FROM manifest_rows WHERE item_id = $gone",
        "UPDATE manifests SET selected = selected - 1 WHERE $gone IS NOT NULL",
        "UPDATE items SET status = 'withdrawn' WHERE item_id = $gone",
    ):
        small_catalog.connection.execute(statement, {"gone": gone})
    small_catalog.merged()
    result = drawn(small_catalog)
    assert (result.selected, result.why) == (10, "1 fewer candidates")
    assert small_catalog.connection.execute("SELECT drawn_at <= ? FROM manifests", [now()]).fetchall() == [
        (True,)
    ]
