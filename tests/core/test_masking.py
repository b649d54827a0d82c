"""Secrets are masked: user information, signed queries, secret variables and options; other text is not."""

from __future__ import annotations

import pytest

from derlem.core import masking
from derlem.core.masking import is_secret_name, mask, mask_command, mask_tree, remember_secret


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://user:pw@example.org/a", "http://***@example.org/a"),
        ("https://user@example.org", "https://***@example.org"),
        ("ftp://u:p@ss@h/x and s3://k:s@b", "ftp://***@h/x and s3://***@b"),
        ("see https://h/p?a=1&token=abc&b=2#f", "see https://h/p?a=1&token=***&b=2#f"),
        ("https://h/p?X-Amz-Signature=0a1b&X-Amz-Date=1", "https://h/p?X-Amz-Signature=***&X-Amz-Date=1"),
        ("?sv=1&sig=a%2Fb%3D'", "?sv=1&sig=***'"),
        ("https://h/?api_key=1&access-key=2&Key=short", "https://h/?api_key=***&access-key=***&Key=short"),
        ("https://h/?key=AIzaSyA0123456789abcdef", "https://h/?key=***"),
    ],
)
def test_secrets_in_urls_are_masked(text: str, masked: str) -> None:
    assert mask(text) == masked
    assert mask(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "https://h/a@b?x=1",
        "a=b",
        "user@example.org",
        "https://h/image.php?key=12&pass=2",
        "tokens=5 of 6",
        "",
    ],
)
def test_other_text_is_unchanged(text: str) -> None:
    assert mask(text) == text


def test_values_of_secret_variables_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_known", set())
    remember_secret("hunter22")
    remember_secret("abc")  # too short
    assert mask("failed: hunter22, abc") == "failed: ***, abc"
    for name in ("SECRET", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DB_PASS", "API_KEY", "PW"):
        assert is_secret_name(name), name
    for name in ("HOME", "DATA", "TOKENIZER_PATH", "KEYBOARD", "PASSAGE"):
        assert not is_secret_name(name), name


def test_options_of_a_command_are_masked() -> None:
    assert (
        mask_command("derlem --set s.token=abc --set a.b=c run") == "derlem --set s.token=*** --set a.b=c run"
    )
    assert mask_command("derlem --set s.token=${TOKEN} run") == "derlem --set s.token=${TOKEN} run"


def test_a_declaration_is_masked() -> None:
    declared = {"name": "s", "token": "abc", "key": "id", "headers": [{"api_key": "${KEY}"}, "http://u:p@h/"]}
    assert mask_tree(declared) == {
        "name": "s",
        "token": "***",
        "key": "id",
        "headers": [{"api_key": "${KEY}"}, "http://***@h/"],
    }
