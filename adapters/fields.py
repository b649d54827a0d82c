"""Converts the columns of a row to captions, conversation, category, language, license and `meta`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import Field

from ..catalog.models import Message, category_path, clean_text
from ..core.errors import ConfigError
from ..core.options import StrictModel
from ..core.suggest import did_you_mean
from .conversations import conversation
from .templates import Template

Feature = Any
"""A feature of `datasets` as returned by `Features.to_dict()`: dicts with `_type`, or nested by name."""

MAX_VALUE = 2048
"""Maximum characters of JSON of one column in `meta`; longer columns are only named, under `left_out`."""

MAX_META = 8192
"""Maximum characters of JSON of all columns of a row in `meta`."""

OWN_KEYS = frozenset({"revision", "detail", "left_out"})
"""Keys of `meta` that the adapter sets; a column with such a name is omitted."""

Decoder = Callable[[Any], Any]


CaptionsOption = Annotated[
    Literal["all", "first", "each"],
    Field(description="of several captions: all (`caption` is the first), the first, or an item for each"),
]
PlaceholdersOption = Annotated[
    Literal["keep", "reject", "first"],
    Field(
        description="of a conversation whose `<image>` marks differ from its images in number: keep it, "
        "reject the record, or put all marks at the start of the first user turn"
    ),
]


class ColumnOptions(StrictModel):
    """Maps columns to fields of an item. A dotted name selects nested columns: `json.caption`."""

    image: str | list[str] | None = Field(
        default=None,
        description="columns with images or lists of images; default: those that hold images by type or name",
    )
    key: str | None = Field(
        default=None,
        description="column that identifies each row, so that an edited row keeps its item; default: content",
    )
    caption: str | None = Field(default=None, description="text, or a list of texts (see `captions`)")
    conversations: str | None = Field(
        default=None,
        description="messages (role, content), ShareGPT turns (from, value) or pairs (user, assistant)",
    )
    category: str | None = Field(
        default=None,
        description="a class label (its name is used), a text, or a list of both from the top down",
    )
    language: str | None = Field(default=None, description="BCP 47 tag of the caption")
    license: str | None = Field(
        default=None, description="SPDX expression of the row, in place of the source's"
    )


class BadRow(ValueError):
    """An invalid row; the message contains the cause."""


class Fields:
    """Converts the columns of a row to the fields of its items; options are checked once against columns."""

    def __init__(
        self,
        columns: ColumnOptions,
        category: str,
        place: Iterable[str],
        known: Iterable[str],
        *,
        images: Collection[str] = (),
        features: Mapping[str, Feature] | None = None,
    ) -> None:
        """`known` are the columns, including dotted names of nested fields; `images` have no values.

        `category` is the template over columns, `place` (fields of the data file) and {category}. Below
        columns of JSON, any field may be mapped. ConfigError for a missing column or template field.
        """
        features = features or {}
        known = set(known)
        loose = {name for name, feature in features.items() if _is_json(feature)}
        self._columns = columns
        named = {
            key: name
            for key in ("key", "caption", "conversations", "category", "language", "license")
            if (name := getattr(columns, key)) is not None
        }
        for key, name in named.items():
            if not _below(name, loose):
                _check(name, known, f"columns.{key}")
        template = category or ("{category}" if columns.category else "")
        nested = {name for name in _fields_of(template) if _below(name, loose)}
        self._template = Template(template, {*known, *nested, *place, "category"})
        if columns.category and "category" not in self._template.fields:
            raise ConfigError(
                "`columns.category` is given: the template `category` stands for it as {category}",
                key="category",
            )
        named.pop("key", None)
        self._unnoted = {*named.values(), *images}
        self._unnoted_inside: dict[str, set[str]] = {}
        for name in named.values():
            column, _, field = name.partition(".")
            self._unnoted_inside.setdefault(column, set()).add(field)
        self._decoders = {name: decode for name, feature in features.items() if (decode := _decoder(feature))}

    def of(self, row: Mapping[str, Any], place: Mapping[str, str]) -> dict[str, Any]:
        """Return fields for `Item`. `place` has the fields of the data file; BadRow for an invalid value."""
        if self._decoders:
            row = dict(row)
            for name in self._decoders.keys() & row.keys():
                row[name] = self._decoders[name](row[name])
        columns = self._columns
        category = _category(value_at(row, columns.category)) if columns.category else None
        fields = {**place, "category": category}
        for name in self._template.fields:
            if (value := value_at(row, name)) is not None:
                fields[name] = _category(value)
        path = self._template.render(fields)
        _speakable(path)
        captions = _texts(row, columns.caption)
        return {
            "category": path,
            "caption": captions[0] if captions else None,
            "captions": captions if len(captions) > 1 else None,
            "conversations": _turns(row, columns.conversations),
            "language": _word(row, columns.language),
            "license": _word(row, columns.license),
            "meta": self._meta(row),
        }

    def _meta(self, row: Mapping[str, Any]) -> dict[str, Any]:
        meta: dict[str, Any] = {}
        left_out = []
        total = 0
        for name, value in row.items():
            if value is None or name in self._unnoted:
                continue
            if isinstance(value, dict) and (used := self._unnoted_inside.get(name)):
                value = {field: inner for field, inner in value.items() if field not in used}
                if not value:
                    continue
            try:
                plain = _plain(value)
                size = len(json.dumps(plain, ensure_ascii=False)) + len(name)
            except (TypeError, ValueError):
                left_out.append(name)
                continue
            if size > MAX_VALUE or total + size > MAX_META or name in OWN_KEYS:
                left_out.append(name)
                continue
            meta[name] = plain
            total += size
        if left_out:
            meta["left_out"] = left_out
        return meta


def value_at(row: Any, name: str) -> Any:
    """Return the value of a column or a dotted field; a column whose name contains the dots has priority."""
    if not isinstance(row, dict):
        return None
    if name in row:
        return row[name]
    head, dot, rest = name.partition(".")
    while dot:
        if head in row:
            return value_at(row[head], rest)
        step, dot, rest = rest.partition(".")
        head = f"{head}.{step}"
    return None


def names_in(value: Any, prefix: str = "") -> Iterator[str]:
    """Return the names (dotted if nested) of all fields of a row, or of a schema as nested dicts."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{prefix}{name}"
            yield from names_in(inner, f"{prefix}{name}.")


def _is_json(feature: Feature) -> bool:
    return isinstance(feature, Mapping) and feature.get("_type") == "Json"


def _below(name: str, columns: Collection[str]) -> bool:
    return any(name.startswith(f"{column}.") for column in columns)


def _fields_of(template: str) -> set[str]:
    try:
        return {name for _, name, _, _ in Formatter().parse(template) if name}
    except ValueError:
        return set()  # `Template` raises the error


def _check(name: str, known: Collection[str], key: str) -> None:
    if name not in known:
        hint = did_you_mean(name, known)
        raise ConfigError(f"there is no column {name!r}{hint} (columns: {', '.join(sorted(known))})", key=key)


def _decoder(feature: Feature) -> Decoder | None:
    """Return a function that decodes stored values (class labels, JSON), or None if not needed."""
    if isinstance(feature, list):
        feature = {"_type": "List", "feature": feature[0] if feature else None}
    if not isinstance(feature, Mapping):
        return None
    kind = feature.get("_type")
    if kind == "ClassLabel":
        names = feature.get("names") or []
        return lambda value: _label(value, names)
    if kind == "Json":
        return _parsed
    if kind in ("List", "LargeList", "Sequence"):
        element = _decoder(feature.get("feature"))
        return element and (lambda value: None if value is None else [element(inner) for inner in value])
    if not isinstance(kind, str):
        inner = {name: decode for name, part in feature.items() if (decode := _decoder(part))}
        return (lambda value: _decoded(value, inner)) if inner else None
    return None


def _decoded(value: Any, inner: Mapping[str, Decoder]) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: inner[name](part) if name in inner else part for name, part in value.items()}


def _label(value: Any, names: list[str]) -> Any:
    """Return the name of a class; -1 means no class."""
    if not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None if value < 0 else str(value)


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _category(value: Any) -> str | None:
    """Return a category path for a name, or for names from the top down."""
    if value is None:
        return None
    if isinstance(value, list):
        return category_path(*(str(step) for step in value if step is not None))
    if isinstance(value, (dict, bytes)):
        raise BadRow("a category is a name or a list of names")
    return str(value)


def _texts(row: Mapping[str, Any], name: str | None) -> list[str]:
    """Return the texts of a column, in order: cleaned, without empty and repeated ones."""
    value = None if name is None else value_at(row, name)
    texts: dict[str, None] = {}
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, (dict, list, bytes)):
            raise BadRow(f"column {name} is not text; nested fields have dotted names, such as {name}.text")
        text = "" if entry is None else clean_text(str(entry))
        _speakable(text)
        if text:
            texts[text] = None
    return list(texts)


def _text(row: Mapping[str, Any], name: str | None) -> str | None:
    """Return the text of a column; for a list, the first text that is not empty."""
    return next(iter(_texts(row, name)), None)


def _word(row: Mapping[str, Any], name: str | None) -> str | None:
    text = _text(row, name)
    return text and text.strip()


def _speakable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRow("a lone surrogate: not Unicode text") from None


def _turns(row: Mapping[str, Any], name: str | None) -> list[Message] | None:
    """Return a column's conversation, stored as turns, columns of turns, pairs, or JSON text."""
    value = None if name is None else value_at(row, name)
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise BadRow(f"column {name}: not JSON: {error}") from None
    if isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        # A list of structs, as older versions of `datasets` stored it: a struct of lists.
        value = [dict(zip(value, turn, strict=False)) for turn in zip(*value.values(), strict=False)]
    if value is None or value == []:
        return None
    try:
        return conversation(_singly(value))
    except ValueError as error:
        raise BadRow(f"column {name}: {error}") from None


def _singly(turns: Any) -> Any:
    """Split turns with a question and its answer (`user`, `assistant`: The Cauldron) into separate turns."""
    if not isinstance(turns, list) or not all(
        isinstance(turn, dict)
        and isinstance(turn.get("user"), str)
        and isinstance(turn.get("assistant"), str)
        for turn in turns
    ):
        return turns
    return [{"role": role, "content": turn[role]} for turn in turns for role in ("user", "assistant")]


def _plain(value: Any) -> Any:
    """Return a value for JSON; TypeError for bytes, ValueError for invalid text."""
    if isinstance(value, str):
        value.encode()  # JSON may contain lone surrogates
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):  # entries of a map are tuples
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes | bytearray | memoryview):
        raise TypeError("bytes are not text")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
