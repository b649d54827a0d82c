"""Rows on stdout are valid JSON and contain no control sequences."""

from __future__ import annotations

import json

import pytest

from derlem.commands.rendering import named, render
from derlem.commands.shared import echo


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def test_json_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    render(["a", "a", "a_1", "b"], [(1, 2, 3, float("nan")), (4, 5, 6, float("-inf"))], "json")
    rows = json.loads(capsys.readouterr().out, parse_constant=no_constant)
    assert rows == [{"a": 1, "a_1": 2, "a_1_1": 3, "b": None}, {"a": 4, "a_1": 5, "a_1_1": 6, "b": None}]


def test_bytes_are_hex(capsys: pytest.CaptureFixture[str]) -> None:
    render(["hash"], [(b"\x00\xff",)], "json")
    assert json.loads(capsys.readouterr().out) == [{"hash": "00ff"}]


@pytest.mark.parametrize("text", ["abc\u202ecba", "\u2066a", "a\u200fb"])
def test_no_text_changes_its_direction(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    render(["caption"], [(text,)], "table")
    echo(text)
    shown = capsys.readouterr()
    for line in (shown.out, shown.err, named({"caption": text})):
        assert "\\u20" in line and not set(line) & set("\u202e\u2066\u200f")


@pytest.mark.parametrize("text", ["\x1b[31mred", "\x9b31m", "bell\x07", "back\x08", "\x1b]0;title\x07"])
def test_no_escape_sequence_reaches_the_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    render(["caption"], [(text,)], "table")
    for shown in (capsys.readouterr().out, named({"caption": text})):
        assert not set(shown) & {"\x1b", "\x9b", "\x07", "\x08"}
        assert "\\x" in shown
