"""The parts of the fast draw: key bounds, numbers of hexadecimal digits, ranks within slots."""

import hashlib
from math import comb

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem.sampling.fast_draw import ABOVE, BELOW, MISSED, Ranked, digits, hex_keys, key_bounds, smallest


def part(key: str) -> float:
    """The part of all keys that lies below this one."""
    return 0.0 if key == BELOW else 1.0 if key == ABOVE else int(key, 16) / 2**48


def at_least(count: int, items: int, x: float) -> float:
    """The chance that of so many uniform keys at least `count` lie below x."""
    return sum(comb(items, k) * x**k * (1 - x) ** (items - k) for k in range(count, items + 1))


@given(st.integers(1, 300).flatmap(lambda items: st.tuples(st.integers(0, items), st.just(items))))
def test_a_key_bound_fails_as_rarely_as_promised(case: tuple[int, int]) -> None:
    seats, items = case
    [low], [high] = key_bounds(np.array([seats]), np.array([items]))
    if seats in (0, items):
        assert low == high == (ABOVE if seats else BELOW)
        return
    assert BELOW <= low < f"{int(seats / items * 2**48):012x}" < high <= ABOVE
    # all keys under `low` are taken for sure: wrong if there are more than seats
    assert at_least(seats + 1, items, part(low)) <= MISSED
    # all keys over `high` are left: wrong if fewer than the seats are below
    assert 1 - at_least(seats, items, part(high)) <= MISSED + 1e-12


def test_key_bounds_are_narrow() -> None:
    """Of a million items in a stratum hardly any is ranked."""
    [low], [high] = key_bounds(np.array([500_000]), np.array([1_000_000]))
    assert part(high) - part(low) < 0.007


@given(st.lists(st.integers(0, 2**32 - 1)), st.integers(0, 5))
def test_digits_are_read_as_numbers(numbers: list[int], skipped: int) -> None:
    column = pa.array([f"{number:08x}" for number in numbers], pa.string())[skipped:]
    assert hex_keys(digits(column, 8)).tolist() == numbers[skipped:]


def test_what_has_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="8 digits"):
        digits(pa.array(["01234567", "0123"]), 8)


@given(st.data())
def test_the_smallest_keys_of_each_slot_are_selected(data: st.DataObject) -> None:
    """Keys that agree in the bits that are sorted are compared in full."""
    slots = data.draw(st.lists(st.integers(0, 4), max_size=30))
    near = st.sampled_from([0, 1, 2**64 - 1, 2**64 - 2, 2**63]) | st.integers(0, 2**64 - 1)
    ids = [hashlib.md5(b"%d" % number).hexdigest().encode() for number in range(len(slots))]
    keys = []
    for item in ids:
        full = hashlib.md5(b"7:" + item).hexdigest()
        keys.append(data.draw(near) if data.draw(st.booleans()) else int(full[:16], 16))
    ranked = Ranked(
        keys=np.array(keys, np.uint64),
        prefixes=np.zeros(len(slots), np.uint64),
        slots=np.array(slots, np.int32),
        items=np.array(ids, "S32"),
    )
    counts = np.bincount(ranked.slots, minlength=5)
    free = np.array([data.draw(st.integers(0, count)) for count in counts.tolist()], np.int64)

    def order(row: int) -> tuple[int, str, bytes]:
        # in 64 bits with a slot of 3, the last 3 bits of a key are not sorted
        return keys[row] >> 3, hashlib.md5(b"7:" + ids[row]).hexdigest(), ids[row]

    expected = {
        row
        for slot in range(5)
        for row in sorted((row for row in range(len(slots)) if slots[row] == slot), key=order)[: free[slot]]
    }
    assert set(np.flatnonzero(smallest(ranked, free, 7)).tolist()) == expected
