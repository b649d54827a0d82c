"""Numbers written in hexadecimal digits, and their order."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem.sampling import integers


@given(st.lists(st.integers(0, 2**32 - 1)), st.integers(0, 5))
def test_digits_are_read_as_numbers(numbers, skipped):
    column = pa.array([f"{number:08x}" for number in numbers], pa.string())[skipped:]
    assert integers.hexadecimal(integers.digits(column, 8)).tolist() == numbers[skipped:]


def test_what_has_another_length_is_an_error():
    with pytest.raises(ValueError, match="8 digits"):
        integers.digits(pa.array(["01234567", "0123"]), 8)
