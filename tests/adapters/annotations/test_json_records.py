"""Records of JSON files, read in pieces: the same as `json` reads at once, and all before any damage."""

from __future__ import annotations

import io
import json
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem.adapters.annotations import json_records as module
from derlem.adapters.annotations.json_records import BadRecord, JsonDamage, json_records

texts = st.text(st.characters(codec="utf-8"), max_size=6)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
chunks = st.integers(1, 40)


def read(text: str, chunk: int = 7, members: tuple[str, ...] = ()) -> list[tuple[str, int, Any]]:
    with patch.object(module, "CHUNK", chunk):
        return list(json_records(io.StringIO(text), members))


@given(st.lists(values, max_size=5), chunks, st.sampled_from([None, 2]))
def test_an_array_gives_its_elements(records: list[Any], chunk: int, indent: int | None) -> None:
    found = read(json.dumps(records, indent=indent), chunk)
    assert [value for _, _, value in found] == records
    assert [number for _, number, _ in found] == list(range(1, len(records) + 1))


@given(st.dictionaries(texts, st.lists(values, max_size=3) | values, max_size=4), chunks)
def test_an_object_gives_the_elements_of_its_arrays(whole: dict[str, Any], chunk: int) -> None:
    found: dict[str, list[Any]] = {}
    for member, _, value in read(json.dumps(whole), chunk):
        found.setdefault(member, []).append(value)
    assert found == {name: value for name, value in whole.items() if isinstance(value, list) and value}
    chosen = next(iter(whole), "")
    only = {member for member, _, _ in read(json.dumps(whole), chunk, (chosen,))} if whole else set()
    assert only <= {chosen}


@given(
    st.lists(st.dictionaries(texts, values, min_size=1, max_size=3), min_size=1, max_size=4),
    chunks,
    st.data(),
)
def test_what_comes_before_a_cut_is_kept(records: list[Any], chunk: int, data: st.DataObject) -> None:
    text = json.dumps(records)
    cut = data.draw(st.integers(1, len(text) - 1))
    ends = [len(json.dumps(records[:count])) - 1 for count in range(1, len(records) + 1)]
    found: list[Any] = []
    with patch.object(module, "CHUNK", chunk), pytest.raises(JsonDamage):
        found.extend(value for _, _, value in json_records(io.StringIO(text[:cut])))
    assert found == records[: sum(end <= cut for end in ends)]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('{"a": tru}', "not JSON"),
        ('{"a": [1, 2,, "x]}"]}', "not JSON"),
        ('{"a": "\\x"}', "not JSON"),
        ('{"a": ' + "1" * 5000 + "}", "not JSON"),
        ("[" * 5000 + "]" * 5000, "not JSON"),
        ('{"a": "\\ud800"}', "surrogates"),
        ('{"a": "' + "\udcff" + '"}', "surrogates"),
    ],
)
@pytest.mark.parametrize("chunk", [7, 100_000])
def test_a_bad_record_costs_itself(bad: str, message: str, chunk: int) -> None:
    found = [value for _, _, value in read(f'[{{"n": 1}}, {bad}, {{"n": 2}}]', chunk)]
    assert found[0] == {"n": 1} and found[2:] == [{"n": 2}]
    assert isinstance(found[1], BadRecord) and message in found[1]


@pytest.mark.parametrize("long", ['{"a": "%s"}', '{"a": ["%s"]}', '"%s"'])
def test_a_long_record_costs_itself(long: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RECORD", 1000)
    text = f'[{{"n": 1}}, {long % (chr(92) + chr(34) + "]}" * 1000)}, {{"n": 2}}]'
    found = [value for _, _, value in read(text)]
    assert found[0] == {"n": 1} and found[2:] == [{"n": 2}] and "more than 1,000 characters" in found[1]


def test_a_long_record_is_not_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RECORD", 10_000)

    class Endless(io.StringIO):
        """A record of a hundred million characters."""

        read_in_all = largest = 0

        def read(self, size: int | None = -1) -> str:
            assert size is not None
            self.largest = max(self.largest, size)
            self.read_in_all += size
            if self.read_in_all == size:
                return '[{"a": "'.ljust(size, "x")
            return (
                "x" * size
                if self.read_in_all < 10**8
                else '"}, {"n": 2}]' * (self.read_in_all < 10**8 + size)
            )

    file = Endless()
    assert [value for _, _, value in json_records(file)][1] == {"n": 2}
    assert file.largest <= 2 * module.CHUNK


@pytest.mark.parametrize(
    "text", ["", "  ", "5", '"a"', "[1", "[1,", "[1] 2", '{"a": [1]', '{"a" [1]}', "{1: [1]}", "[1 2]"]
)
def test_other_files_are_damaged(text: str) -> None:
    with pytest.raises(JsonDamage):
        read(text)


def test_numbers_that_json_lacks_become_none() -> None:
    [(_, _, value)] = read('[{"a": NaN, "b": 1e999, "c": [Infinity, 1]}]')
    assert value == {"a": None, "b": None, "c": [None, 1]}
