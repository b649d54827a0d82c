"""Masks secrets in texts that are stored or shown: the one place that knows what a secret looks like.

Secrets are the user information of a URL, the values of query parameters that sign or authorize a request,
and the values of environment variables with the name of a secret that a configuration refers to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

_NAME = (  # of a variable, an option or a query parameter
    r"(?:[\w.-]*(?:secret|token(?!i[sz])|passw(?:or)?d|passphrase|credential|signature|api[_-]?key|access[_-]?key"
    r"|private[_-]?key)[\w.-]*|sig|jwt|hmac)"
)
_AMBIGUOUS = r"(?:auth|authorization|key|key-pair-id|pass|policy|sas)"
"""Names of parameters whose values are secrets if they are long."""
_USERINFO = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#@]*(?:@[^\s/?#@]*)*@")
_PARAMETER = re.compile(
    rf"(?P<name>(?:[?&;]|%26|%3F)(?:x-(?:amz|goog|oss|cos)-)?(?:{_NAME}=|{_AMBIGUOUS}=(?=[^&;#/\s]{{16}})))[^&;#\s\"'<>]+",
    re.IGNORECASE,
)
_OPTION = re.compile(rf"(?P<name>(?:^|[.\s]){_NAME}=)(?!\$\{{)\S+", re.IGNORECASE)
_VARIABLE = re.compile(rf"{_NAME}|(?:\w+_)?(?:key|pass|pw|pwd|auth)", re.IGNORECASE)

SHORTEST = 4
"""Characters of the shortest value that counts as a secret: shorter ones stand in too many words."""

_known: set[str] = set()


def is_secret_name(name: str) -> bool:
    """Whether a variable or an option of this name holds a secret."""
    return _VARIABLE.fullmatch(name) is not None


def remember_secret(value: str) -> None:
    """Mask this value in all further texts of this process."""
    if len(value) >= SHORTEST:
        _known.add(value)


def known_secrets() -> frozenset[str]:
    """The values of `remember_secret`, for another process."""
    return frozenset(_known)


def mask(text: str) -> str:
    """Return the text with `***` in place of secrets."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    if "://" in text:
        text = _USERINFO.sub(rf"\g<scheme>{MASK}@", text)
    if "=" in text:
        text = _PARAMETER.sub(rf"\g<name>{MASK}", text)
    return text


def mask_tree(value: Any, name: str = "") -> Any:
    """Return a configuration with `***` in place of secrets: masked strings, and values of secret names.

    A reference to an environment variable is no secret.
    """
    if isinstance(value, Mapping):
        return {key: mask_tree(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [mask_tree(each, name) for each in value]
    if not isinstance(value, str):
        return value
    literal = name and re.fullmatch(_NAME, name, re.IGNORECASE) and not value.startswith("${")
    return MASK if literal else mask(value)


def mask_command(text: str) -> str:
    """Return a command line with `***` in place of secrets, also in `--set KEY=VALUE`."""
    return _OPTION.sub(rf"\g<name>{MASK}", mask(text))
