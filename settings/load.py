"""Loads the configuration: files to a typed `Config`, or one error that names the problem and its place."""

from __future__ import annotations

import hashlib
import json
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..adapters.base import SourceOptions
from ..adapters.registry import adapter_class
from ..catalog.sources import Declared
from ..core.config_values import ConfigStr
from ..core.errors import ConfigError
from ..core.suggest import did_you_mean
from .config import Config
from .documents import Document, Key, read_documents

_PATTERNS = {
    r"^[a-z0-9_-]+$": "a name has lower-case letters, digits, `_` and `-` only",
    r"^\.[^/\s]+$": "a suffix starts with a dot and has no space and no `/`, such as .txt",
}
"""What the patterns of options mean, for messages."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration, its sources as declared, and a hash of the whole configuration."""

    config: Config
    declared: tuple[Declared, ...]
    config_hash: str
    document: Document

    @contextmanager
    def locating(self) -> Iterator[None]:
        """Add file and line to a ConfigError of the block that names a key of a source."""
        try:
            yield
        except ConfigError as error:
            section, _, rest = error.key.partition(".")
            name, *steps = rest.split(".")
            places = [place for place, source in enumerate(self.declared) if source.source == name]
            if error.file or section != "sources" or not places:
                raise
            file, line = self.document.where(("sources", places[0], *steps))
            raise ConfigError(error.message, key=error.key, file=file, line=line) from error


def load(files: Sequence[Path] = (), overrides: Iterable[str] = ()) -> Loaded:
    """Read, merge and validate the configuration; ConfigError, see `validated`."""
    return validated(read_documents(files, overrides))


def validated(document: Document) -> Loaded:
    """Validate a configuration.

    ConfigError has file, line and key, and the nearest valid key for an unknown key.
    """
    values = dict(document.values)
    values.setdefault("workspace", ConfigStr.of("work", document.folder))
    values["sources"] = _sources(document)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise _first_error(document, Config, (), error) from None
    text = json.dumps(document.values, sort_keys=True, default=str)
    declared = tuple(
        Declared(
            source=options.name,
            adapter=options.adapter,
            license=options.license,
            homepage=options.homepage,
            config=raw,
        )
        for options, raw in zip(config.sources, document.values["sources"], strict=True)
    )
    return Loaded(config, declared, hashlib.sha256(text.encode()).hexdigest(), document)


def _sources(document: Document) -> list[SourceOptions]:
    """Return each declared source, validated by the model of its adapter."""
    raw = document.values.get("sources")
    if not isinstance(raw, list) or not raw:
        raise document.error(("sources",), "declare at least one source: a list of mappings")
    sources: list[SourceOptions] = []
    places: dict[str, int] = {}
    for place, declaration in enumerate(raw):
        key: Key = ("sources", place)
        if not isinstance(declaration, dict):
            raise document.error(key, "a source is a mapping with name, adapter, license, ...")
        if "adapter" not in declaration:
            raise document.error(key, "which adapter reads this source? (adapter: files, archive, ...)")
        try:
            options = adapter_class(str(declaration["adapter"])).Options
        except ConfigError as error:
            raise document.error((*key, "adapter"), error.message) from None
        try:
            source = options.model_validate(declaration)
        except ValidationError as error:
            raise _first_error(document, options, key, error) from None
        if source.name in places:
            _, line = document.where(("sources", places[source.name], "name"))
            raise document.error(
                (*key, "name"), f"two sources are named {source.name!r} (the other: line {line})"
            )
        places[source.name] = place
        sources.append(source)
    return sources


def _first_error(
    document: Document, model: type[BaseModel], prefix: Key, error: ValidationError
) -> ConfigError:
    """Return the most informative error as one line: an unknown key before its consequential errors."""
    errors = error.errors(include_url=False)
    first = next((found for found in errors if found["type"] == "extra_forbidden"), errors[0])
    key = (*prefix, *_real(document, prefix, first["loc"]))
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][-1])
        valid = _fields(model, tuple(str(part) for part in first["loc"][:-1]))
        if suggestion := did_you_mean(name, valid):
            return document.error(key, f"unknown key{suggestion}")
        missing = [found["loc"] for found in errors if found["type"] == "missing"]
        suggestion = "".join(
            f"; {place[-1]!r} is missing" for place in missing if place[:-1] == first["loc"][:-1]
        )
        suggestion += f" (valid: {', '.join(sorted(valid))})" if valid else ""
        return document.error(key, f"unknown key{suggestion}")
    if first["type"] == "missing":
        return document.error(key, "this key is required")
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "string_pattern_mismatch":
        message = _PATTERNS.get(first["ctx"]["pattern"], message)
    value = first.get("input")
    if value is not None and (repr(value) in message or message.endswith(f" {value}")):
        return document.error(key, message)
    shown = f" (it is {value!r})" if isinstance(value, (str, int, float, bool)) or value is None else ""
    return document.error(key, f"{message}{shown}")


def _real(document: Document, prefix: Key, location: Sequence[str | int]) -> Key:
    """Return a validation error's location without pydantic's names of union members."""
    value: Any = document.values
    for part in prefix:
        value = value[part]
    key: list[str | int] = []
    for place, part in enumerate(location):
        last = place == len(location) - 1
        if isinstance(value, dict) and (part in value or last):
            value = value.get(part)
            key.append(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
            key.append(part)
    return tuple(key)


def _fields(model: type[BaseModel], location: tuple[str, ...]) -> list[str]:
    """Return the valid keys at a location below a model, as far as determined by its types."""
    models = [model]
    for part in location:
        models = [below for owner in models for below in _models_below(owner, part)] or models
    return sorted({name for owner in models for name in owner.model_fields})


def _models_below(owner: type[BaseModel], part: str) -> list[type[BaseModel]]:
    if part in owner.model_fields:
        return _models_in(owner.model_fields[part].annotation)
    return []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Yield all models of a type: itself, members of a union, items of a list, values of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) is not None or isinstance(annotation, types.UnionType):
        return [model for part in typing.get_args(annotation) for model in _models_in(part)]
    return []
