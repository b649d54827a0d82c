"""Which of several equal items stays, and that those with other texts are counted apart."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem.sampling.draw import draw_sample
from derlem.sampling.sample_options import SampleOptions
from tests.factories.small_catalog import Row, SmallCatalog

item = st.fixed_dictionaries(
    {
        "content": st.sampled_from("abc"),
        "source": st.sampled_from(["s0", "s1"]),
        "caption": st.sampled_from([None, "bir", "iki"]),
        "captions": st.sampled_from([None, ["bir", "iki"]]),
        "conversations": st.sampled_from([None, '[{"role":"user","content":"?"}]']),
        "width": st.integers(1, 3),
    }
)
modes = st.sampled_from(["image", "image_and_text", "none"])
preferences = st.sampled_from(["captioned", "first", "largest"])


def texts(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("caption", "captions", "conversations"))


def expected(rows: list[dict[str, Any]], mode: str, prefer: str) -> tuple[set[str], Counter[str]]:
    """The ids of the items that stay, and the others by reason: in Python, item by item."""

    def priority(row: dict[str, Any]) -> tuple[Any, ...]:
        captioned = row["caption"] is not None or row["conversations"] is not None
        preferred = {"captioned": not captioned, "largest": -row["width"], "first": 0}[prefer]
        return preferred, row["source"], row["item_id"]

    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        by = {"image": (), "image_and_text": texts(row), "none": (row["item_id"],)}[mode]
        groups.setdefault((row["content"], *by), []).append(row)
    held, reasons = set(), Counter[str]()
    for group in groups.values():
        first, *others = sorted(group, key=priority)
        held.add(first["item_id"])
        reasons.update(
            "duplicate" if texts(other) == texts(first) else "duplicate_other_text" for other in others
        )
    return held, reasons


@given(st.lists(item, min_size=1, max_size=8), modes, preferences)
def test_the_preferred_item_stays(rows: list[dict[str, Any]], mode: str, prefer: str) -> None:
    catalog = SmallCatalog()
    for number, row in enumerate(rows):
        row["item_id"] = hashlib.md5(str(number).encode()).hexdigest()
    names = ("caption", "captions", "conversations", "width")
    columns = {name: {row["item_id"]: row[name] for row in rows} for name in names}
    columns["height"] = {row["item_id"]: 1 for row in rows}
    catalog.fill(
        [Row(row["item_id"], row["source"], "c", row["content"]) for row in rows], ["s0", "s1"], **columns
    )
    declared = {"duplicates": mode, "prefer": prefer, "name": "x", "target": 100, "allow_shortfall": True}
    result = draw_sample(catalog.connection, SampleOptions.model_validate(declared), "r")
    held, reasons = expected(rows, mode, prefer)
    assert {row[0] for row in catalog.manifest("x")} == held
    assert result.plan.excluded == dict(reasons)
    lines = [warning for warning in result.plan.warnings if "sample.duplicates" in warning]
    assert len(lines) == ("duplicate_other_text" in reasons)


@pytest.mark.parametrize(("prefer", "kept"), [("captioned", 1), ("first", 0), ("largest", 2)])
def test_near_duplicates_follow_the_preference(small_catalog: SmallCatalog, prefer: str, kept: int) -> None:
    ids = [hashlib.md5(str(number).encode()).hexdigest() for number in range(3)]
    rows = [Row(ids[number], f"s{number}", "c", str(number)) for number in range(3)]
    small_catalog.fill(
        rows,
        ["s0", "s1", "s2"],
        dhash={ids[number]: f"{number:016x}" for number in range(3)},
        caption={ids[1]: "bir"},
        width={ids[0]: 5, ids[1]: 5, ids[2]: 9},
        height=dict.fromkeys(ids, 5),
    )
    options = {"prefer": prefer, "near_duplicates": 2, "name": "x", "target": 9, "allow_shortfall": True}
    draw_sample(small_catalog.connection, SampleOptions.model_validate(options), "r")
    assert [row[0] for row in small_catalog.manifest("x")] == [ids[kept]]


def test_the_view_names_the_item_that_stays(small_catalog: SmallCatalog) -> None:
    ids = [hashlib.md5(str(number).encode()).hexdigest() for number in range(3)]
    rows = [Row(name, f"s{number}", "c", "same") for number, name in enumerate(ids)]
    small_catalog.fill(rows, ["s0", "s1", "s2"], caption={ids[2]: "bir"})
    found = small_catalog.connection.execute("SELECT item_id, kept, kept_id FROM duplicates").fetchall()
    assert sorted(found) == sorted((name, name == ids[2], ids[2]) for name in ids)
