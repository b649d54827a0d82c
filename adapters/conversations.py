"""Converts the conversation formats of data sets to the catalog's format."""

from __future__ import annotations

from ..catalog.models import Message, clean_text

IMAGE = "<image>"
"""Placeholder of the image in a turn."""

_ROLES = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "system": "system",
}


def conversation(value: object) -> list[Message]:
    """Return turns as [{"role", "content"}] from one of two formats.

    Chat messages: `role` and `content`, which is text or a list of parts of type `text` and `image`.
    ShareGPT (LLaVA): `from` (human, gpt) and `value`. ValueError for any other value.
    """
    if not isinstance(value, list):
        raise ValueError("a conversation is a list of turns")
    if not value:
        raise ValueError("a conversation without turns")
    return [_turn(turn) for turn in value]


def _turn(turn: object) -> Message:
    if not isinstance(turn, dict):
        raise ValueError("a turn is an object with a role and a content")
    name = turn.get("role", turn.get("from"))
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        raise ValueError(f"a turn by {name!r}; known are {', '.join(sorted(_ROLES))}")
    content = clean_text(_content(turn.get("content", turn.get("value"))))
    content.encode()  # JSON may contain lone surrogates: a ValueError, too
    return {"role": role, "content": content}


def _content(value: object) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise ValueError("the content of a turn is text or a list of parts")
    return "\n".join(_part(part) for part in value)


def _part(part: object) -> str:
    if not isinstance(part, dict):
        raise ValueError("a part of a turn's content is an object with a type")
    kind = part.get("type")
    if kind in ("image", "image_url"):
        return IMAGE
    text = part.get("text")
    if kind == "text" and isinstance(text, str):
        return text
    raise ValueError(f"a part of type {kind!r}; known are text and image")
