"""Licenses are SPDX expressions: well-formed ones are accepted, names in words are refused."""

from __future__ import annotations

import pytest

from derlem.core.spdx import is_expression


@pytest.mark.parametrize(
    "text",
    [
        "MIT",
        "GPL-2.0+",
        "CC-BY-4.0",
        "LicenseRef-Own.terms",
        "DocumentRef-a:LicenseRef-b",
        "MIT OR Apache-2.0",
        "(MIT AND CC0-1.0) OR GPL-2.0-only WITH Classpath-exception-2.0",
        "((MIT))",
        "MIT and Apache-2.0",
    ],
)
def test_expressions(text: str) -> None:
    assert is_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "foo bar",
        "MIT OR",
        "OR MIT",
        "MIT AND OR X",
        "(MIT",
        "MIT)",
        "()",
        "MIT (X)",
        "(MIT) WITH x",
        "MIT WITH a WITH b",
        "MIT WITH (x)",
        "public_domain",
        "MIT/X11",
        "MIT,BSD",
    ],
)
def test_what_is_no_expression(text: str) -> None:
    assert not is_expression(text)
