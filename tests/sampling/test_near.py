"""Near duplicates: no pair is missed, clusters are chains of pairs, and the choice is stable."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem.core.errors import ConfigError
from derlem.sampling import dhash_clusters
from derlem.sampling.dhash_clusters import TooManyComparisons, components, masks
from derlem.sampling.draw import draw_sample
from derlem.sampling.sample_options import SampleOptions
from tests.factories import sampling_reference as reference
from tests.factories.small_catalog import Row, SmallCatalog


@given(
    data=st.data(),
    distance=st.integers(0, 12),
    size=st.sampled_from([1, 1000, 10**5]),
    one=st.integers(0, 2**64 - 1),
)
def test_two_hashes_within_the_distance_agree_on_a_mask(
    data: st.DataObject, distance: int, size: int, one: int
) -> None:
    flipped = data.draw(st.lists(st.integers(0, 63), max_size=distance, unique=True))
    other = one
    for bit in flipped:
        other ^= 1 << bit
    assert any(one & mask == other & mask for mask in masks(distance, size))


def test_larger_sets_are_joined_on_more_bits() -> None:
    assert len(list(masks(4, 1000))) < len(list(masks(4, 10_000_000))) < 200


@given(data=st.data())
def test_components_are_chains_of_close_pairs(data: st.DataObject) -> None:
    """Compared with the definition, all pairs: sparse hashes, and dense clusters beside each other."""
    distance = data.draw(st.integers(0, 12))
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    centers = [data.draw(st.integers(0, 2**64 - 1)) for _ in range(data.draw(st.integers(1, 3)))]
    centers += [centers[0] ^ (1 << bit) for bit in data.draw(st.lists(st.integers(0, 63), max_size=3))]
    values = {0} if data.draw(st.booleans()) else set()
    reach = data.draw(st.integers(0, 8))
    for _ in range(data.draw(st.sampled_from([0, 1, 10, 60, 200]))):
        value = chance.choice(centers)
        for _ in range(chance.randint(0, reach)):
            value ^= 1 << chance.randint(0, 63)
        values.add(value)
    hashes = np.array(sorted(values), dtype=np.uint64)
    assert components(hashes, distance).tolist() == reference.components(sorted(values), distance)


def test_dense_clusters_need_no_comparison_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Near-blank scans: thousands of hashes with few bits set. The comparisons are counted."""
    made = [0]
    count = np.bitwise_count

    def counted(values: Any) -> Any:
        made[0] += values.size
        return count(values)

    monkeypatch.setattr("derlem.sampling.dhash_clusters.np.bitwise_count", counted)
    chance = random.Random(1)
    comparisons = []
    for size in (2000, 16_000):
        values = {sum(1 << bit for bit in chance.sample(range(64), 3)) for _ in range(size)}
        made[0] = 0
        assert not components(np.array(sorted(values), dtype=np.uint64), 4).any(), "one component"
        comparisons.append(made[0] / len(values))
    assert comparisons[1] < 2 * comparisons[0] < 2000


def test_a_distance_that_banding_does_not_bear_is_refused() -> None:
    with pytest.raises(TooManyComparisons, match=r"distance of 12 bits.*10,000,000 .*largest") as caught:
        masks(12, 10**7)
    assert next(masks(caught.value.largest, 10**7))
    with pytest.raises(TooManyComparisons):
        masks(caught.value.largest + 1, 10**7)


def test_the_refusal_names_the_option(small_catalog: SmallCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row(hashlib.md5(str(n).encode()).hexdigest(), "s", "", str(n)) for n in range(3)]
    dhash = {row.item_id: f"{n:016x}" for n, row in enumerate(rows)}
    small_catalog.fill(rows, ["s"], dhash=dhash)
    monkeypatch.setattr(dhash_clusters, "MAX_COMPARISONS", 10)
    options = SampleOptions(name="x", target=3, near_duplicates=3)
    with pytest.raises(ConfigError, match="largest possible distance") as caught:
        draw_sample(small_catalog.connection, options, "r")
    assert caught.value.key == "sample.near_duplicates"


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
    cluster = reference.components(hashes, distance)
    of_item = dict(zip((row.item_id for row in rows), cluster, strict=True))
    first: dict[int, str] = {}
    for row in sorted(rows, key=lambda row: (row.source != "b", row.item_id)):
        first.setdefault(of_item[row.item_id], row.item_id)
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
