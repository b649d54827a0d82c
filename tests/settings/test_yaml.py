"""YAML that is more than keys and values: merge keys, tags, aliases, values that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from derlem.core.errors import ConfigError
from derlem.settings.documents import read_documents

MERGED = """
base: &base {license: MIT, category: a}
other: &other {license: GPL-2.0-only, homepage: h}
sources:
  - &first
    <<: [*base, *other]
    name: one
    category: b
  - <<: *first
    name: two
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "derlem.yaml"
    path.write_text(text)
    return path


def test_merge_keys(tmp_path: Path) -> None:
    document = read_documents([written(tmp_path, MERGED)])
    one = {"license": "MIT", "homepage": "h", "name": "one", "category": "b"}
    assert document.values["sources"] == [one, one | {"name": "two"}]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: !foo x", 2),
        ("a: 1\nb: !foo {c: 1}", 2),
        ("a: 1\nb: !!python/object:os.system []", 2),
        ("a: 1\n<<: 5", 2),
        ("a: 1\n<<: [5]", 2),
        ("a: 1\nb: 2024-13-45", 2),
        ("a: 1\nb: [", 2),
        ("a: &a\n  b: *a", 0),
        ("a: &a\n  <<: *a", 0),
        ("a: \x01", 0),
        ("a: {b: 1, b: 2}", 1),
    ],
)
def test_what_is_no_configuration_is_a_config_error(tmp_path: Path, text: str, line: int) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_documents([path])
    assert caught.value.file == path and (not line or caught.value.line == line)
