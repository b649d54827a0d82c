"""Near duplicates: no pair is missed, clusters are chains of pairs, and the choice is stable."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derlem.sampling.draw import draw_sample
from derlem.sampling.near_duplicates import clusters, masks
from derlem.sampling.sample_options import SampleOptions
from tests.factories.small_catalog import Row, SmallCatalog


@given(
    data=st.data(),
    distance=st.integers(0, 12),
    size=st.sampled_from([1, 1000, 10**6]),
    one=st.integers(0, 2**64 - 1),
)
def test_two_hashes_within_the_distance_agree_on_a_mask(
    data: st.DataObject, distance: int, size: int, one: int
) -> None:
    flipped = data.draw(st.lists(st.integers(0, 63), max_size=distance, unique=True))
    other = one
    for bit in flipped:
        other ^= 1 << bit
    assert any(
        (one >> 32 & high) == (other >> 32 & high) and (one & low) == (other & low)
        for high, low in masks(distance, size)
    )


def test_larger_sets_are_joined_on_more_bits() -> None:
    assert len(list(masks(4, 1000))) < len(list(masks(4, 10_000_000))) < 200


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh"))))
def test_clusters_are_the_connected_components(pairs: list[tuple[str, str]]) -> None:
    found = clusters(pairs)
    for start in found:
        reached, pending = {start}, [start]
        while pending:
            here = pending.pop()
            for a, b in pairs:
                for there in {a, b} if here in (a, b) else ():
                    if there not in reached:
                        reached.add(there)
                        pending.append(there)
        assert found[start] == min(reached)


@settings(max_examples=60)
@given(data=st.data())
def test_one_of_each_cluster_is_kept(data: st.DataObject, small_catalog: SmallCatalog) -> None:
    """Compared with all pairs: hashes a few flipped bits apart, in chains."""
    hashes = [data.draw(st.integers(0, 2**64 - 1))]
    for _ in range(data.draw(st.integers(0, 40))):
        value = data.draw(st.sampled_from(hashes))
        for bit in data.draw(st.lists(st.integers(0, 63), max_size=5)):
            value ^= 1 << bit
        hashes.append(value)
    distance = data.draw(st.integers(0, 6))
    rows = [
        Row(hashlib.md5(str(n).encode()).hexdigest(), data.draw(st.sampled_from(["a", "b"])), "", str(n))
        for n in range(len(hashes))
    ]
    dhash = {row.item_id: f"{value:016x}" for row, value in zip(rows, hashes, strict=True)}
    small_catalog.fill(rows, ["b", "a"], dhash=dhash)
    options = SampleOptions(name="x", target=100, allow_shortfall=True, near_duplicates=distance)
    result = draw_sample(small_catalog.connection, options, "r")
    close = [
        (x, y)
        for x in dhash.values()
        for y in dhash.values()
        if (int(x, 16) ^ int(y, 16)).bit_count() <= distance
    ]
    cluster = clusters(close)
    first: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: (row.source != "b", row.item_id)):
        first.setdefault(cluster[dhash[row.item_id]], row.item_id)
    assert {item for item, *_ in small_catalog.manifest("x")} == set(first.values())
    assert result.plan.excluded.get("near_duplicate", 0) == len(rows) - len(first)


def test_what_was_selected_earlier_stays_and_its_lookalikes_go(small_catalog: SmallCatalog) -> None:
    rows = [Row(hashlib.md5(str(n).encode()).hexdigest(), "s", "", str(n)) for n in range(4)]
    dhash = dict(
        zip((row.item_id for row in rows), ["0" * 16, "0" * 15 + "1", "0" * 15 + "3", "f" * 16], strict=True)
    )
    small_catalog.fill(rows, ["s"], dhash=dhash)
    earlier = max(row.item_id for row in rows[:3])
    small_catalog.hold("before", [(earlier, 0)])
    options = SampleOptions(name="x", target=100, allow_shortfall=True, near_duplicates=1, extend="before")
    draw_sample(small_catalog.connection, options, "r")
    assert {item for item, *_ in small_catalog.manifest("x")} == {earlier, rows[3].item_id}


@pytest.mark.parametrize("distance", [0, 3])
def test_items_without_a_hash_are_no_duplicates(distance: int, small_catalog: SmallCatalog) -> None:
    rows = [Row(hashlib.md5(str(n).encode()).hexdigest(), "s", "", str(n)) for n in range(3)]
    small_catalog.fill(rows, ["s"])
    options = SampleOptions(name="x", target=3, near_duplicates=distance)
    assert draw_sample(small_catalog.connection, options, "r").selected == 3
