"""Where a corpus is cut into shards."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from derlem.corpus.plan import shard_limits, shard_spans

sizes = st.lists(st.integers(1, 50), min_size=1, max_size=60)


@given(sizes, st.integers(1, 120), st.data())
def test_shards_are_full_whole_and_in_order(sizes: list[int], limit: int, data: st.DataObject) -> None:
    gaps = data.draw(st.lists(st.integers(1, 3), min_size=len(sizes), max_size=len(sizes)))
    positions = np.cumsum(np.array(gaps, np.int64)) - 1
    numbers = np.array(sizes, np.int64)
    spans = list(shard_spans(shard_limits(positions, numbers, limit), positions, numbers))
    assert [span.number for span in spans] == list(range(len(spans)))
    assert spans[0].first == 0
    assert all(before.last == after.first for before, after in pairwise(spans))
    assert sum(span.samples for span in spans) == len(sizes)
    assert sum(span.bytes for span in spans) == sum(sizes)
    start = 0
    for span in spans:
        held = sizes[start : start + span.samples]
        start += span.samples
        assert sum(held) == span.bytes
        assert span.bytes <= limit or span.samples == 1
        if start < len(sizes):
            assert span.bytes + sizes[start] > limit


def test_nothing_is_one_empty_shard() -> None:
    nothing = np.empty(0, np.int64)
    (span,) = shard_spans(shard_limits(nothing, nothing, 10), nothing, nothing)
    assert (span.samples, span.bytes) == (0, 0)
