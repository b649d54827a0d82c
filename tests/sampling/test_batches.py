"""Batches of a result, taken in threads."""

import pyarrow as pa
import pytest

from derlem.sampling.batches import placed

BATCHES = [pa.record_batch({"a": list(range(size))}) for size in (2, 0, 5, 1)]


def test_each_batch_is_taken_where_it_belongs():
    taken = {}
    assert placed(BATCHES, lambda before, batch: taken.update({before: len(batch)}), lambda batch: 2) == 8
    assert taken == {0: 2, 2: 0, 4: 5, 6: 1}


def test_an_error_in_a_thread_is_raised():
    def take(before, batch):
        raise KeyError(before)

    with pytest.raises(KeyError):
        placed(BATCHES, take)
