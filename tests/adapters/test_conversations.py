"""Conversations in both formats are converted to the catalog's format."""

import pytest

from derlem.adapters.conversations import conversation

EXPECTED = [
    {"role": "user", "content": "<image>\nBu nedir?"},
    {"role": "assistant", "content": "Bir kedi."},
]


def test_messages_with_parts() -> None:
    parts = [{"type": "image"}, {"type": "text", "text": "Bu nedir?"}]
    turns = [{"role": "user", "content": parts}, {"role": "assistant", "content": "Bir kedi."}]
    assert conversation(turns) == EXPECTED


def test_sharegpt() -> None:
    turns = [{"from": "human", "value": "<image>\r\nBu nedir?\n"}, {"from": "gpt", "value": "Bir kedi."}]
    assert conversation(turns) == EXPECTED


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        {},
        [],
        ["text"],
        [{}],
        [{"role": "user"}],
        [{"role": ["user"], "content": "a"}],
        [{"role": "observation", "content": "a"}],
        [{"role": "user", "content": {"type": "text"}}],
        [{"role": "user", "content": [{"type": "audio"}]}],
        [{"role": "user", "content": [{"type": "text", "text": 1}]}],
    ],
)
def test_other_values_are_errors(value: object) -> None:
    with pytest.raises(ValueError, match=r"turn|conversation|part"):
        conversation(value)
