"""Reads YAML files to one tree of values with positions: merged, interpolated, overridden."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..core.config_values import ConfigStr
from ..core.errors import ConfigError
from ..core.masking import is_secret_name, remember_secret

DEFAULT_FILE = Path("derlem.yaml")

Key = tuple[str | int, ...]
"""The location of a value in the tree: ('sources', 0, 'path')."""

Pair = tuple[yaml.Node, yaml.Node]
"""A key and its value in a YAML mapping."""

_MERGE = "tag:yaml.org,2002:merge"
_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")

_REFERENCE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


@dataclass(slots=True)
class Document:
    """A configuration before validation: plain values, files, and the file and line of each key."""

    values: dict[str, Any] = field(default_factory=dict)
    folder: Path = field(default_factory=Path.cwd)
    """The folder of the first file; the default workspace is a folder in it."""
    marks: dict[Key, tuple[Path | str, int]] = field(default_factory=dict)

    @property
    def adapters(self) -> list[str]:
        """The names of adapters in the sources, valid or not."""
        sources = self.values.get("sources")
        declared = sources if isinstance(sources, list) else []
        return [
            str(source["adapter"]) for source in declared if isinstance(source, dict) and "adapter" in source
        ]

    def where(self, key: Key) -> tuple[Path | str | None, int]:
        """Return the file and line of a key, or of its nearest parent."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.marks:
                return self.marks[key[:length]]
        return next(iter(self.marks.values()), (None, 0))[0], 0

    def error(self, key: Key, message: str) -> ConfigError:
        """Return a ConfigError with the position of a key; sources are identified by name."""
        file, line = self.where(key)
        return ConfigError(message, key=self.spelled(key), file=file, line=line)

    def spelled(self, key: Key) -> str:
        """Return a key in dotted form: sources.stamps.path."""
        parts = list(key)
        if len(parts) > 1 and parts[0] == "sources" and isinstance(parts[1], int):
            with suppress(
                KeyError, IndexError, TypeError
            ):  # a source without a name is identified by position
                parts[1] = self.values["sources"][parts[1]]["name"]
        return ".".join(str(part) for part in parts)


def read_documents(files: Iterable[Path] = (), overrides: Iterable[str] = ()) -> Document:
    """Read files (without any, `derlem.yaml`), later ones over earlier ones, then `KEY=VALUE` overrides.

    Mappings are merged key by key; `sources` are merged by name (a source of a later file is merged into
    the source of the same name, or appended); other values are replaced. ConfigError with file and line
    for an invalid configuration.
    """
    paths = tuple(files) or (DEFAULT_FILE,)
    document = Document(folder=paths[0].resolve().parent)
    for file in paths:
        _lay_over(document, _read(file))
    for override in overrides:
        _lay_over(document, _parse_override(override, document))
    return document


def document_from(config: Mapping[str, Any], folder: Path) -> Document:
    """Return a configuration from a mapping; its relative paths are resolved against `folder`.

    Strings are literal: `${ENV}` is not replaced.
    """
    values = _rooted(config, folder.resolve())
    return Document(values=values, folder=folder.resolve())


def _rooted(value: Any, folder: Path) -> Any:
    """Return a copy whose strings and paths carry the folder for relative paths."""
    if isinstance(value, Mapping):
        return {str(name): _rooted(each, folder) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rooted(each, folder) for each in value]
    if isinstance(value, (str, os.PathLike)):
        return ConfigStr.of(os.fspath(value), folder)
    return value


def _read(file: Path) -> Document:
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(
            "there is no such file; `derlem init` writes one to begin with", file=file
        ) from None
    except IsADirectoryError:
        raise ConfigError("this is a folder; name the file in it, such as derlem.yaml", file=file) from None
    except OSError as error:
        raise ConfigError(error.strerror or str(error), file=file) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError("not UTF-8 text: save the file as UTF-8", file=file, line=line) from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _invalid(error, file) from error
    document = Document()
    if node is None:
        return document
    reader = _Reader(document, file)
    try:
        values = reader.build(node, ())
    except RecursionError as error:
        raise ConfigError("a value contains itself (an alias within its anchor)", file=file) from error
    if not isinstance(values, dict):
        raise ConfigError("a configuration is a mapping of keys to values", file=file, line=1)
    document.values = values
    return document


def _invalid(error: yaml.YAMLError | ValueError, file: Path | str, line: int = 0) -> ConfigError:
    problem = str(error)
    if isinstance(error, yaml.MarkedYAMLError):
        line = error.problem_mark.line + 1 if error.problem_mark else line
        problem = " ".join(part for part in (error.context, error.problem) if part)
    return ConfigError(f"not valid YAML: {problem}", file=file, line=line)


class _Reader:
    """Builds plain values from YAML nodes and records the position of each key."""

    def __init__(self, document: Document, file: Path | str, folder: Path | None = None) -> None:
        self._document, self._file = document, file
        self._folder = folder or Path(file).resolve().parent
        self._constructor = yaml.constructor.SafeConstructor()

    def build(self, node: yaml.Node, key: Key) -> Any:
        line = node.start_mark.line + 1
        self._document.marks.setdefault(key, (self._file, line))
        if isinstance(node, yaml.CollectionNode) and node.tag not in _COLLECTIONS:
            raise ConfigError(f"not valid YAML: the tag {node.tag!r} is unknown", file=self._file, line=line)
        if isinstance(node, yaml.MappingNode):
            values: dict[str, Any] = {}
            merged, own = self._pairs(node)
            names: set[str] = set()
            for place, (name_node, value_node) in enumerate([*merged, *own]):
                name = str(self._scalar(name_node))
                if place >= len(merged) and name in names:
                    raise ConfigError(
                        "this key stands twice",
                        key=".".join(map(str, (*key, name))),
                        file=self._file,
                        line=name_node.start_mark.line + 1,
                    )
                if place >= len(merged):
                    names.add(name)
                self._document.marks[(*key, name)] = (self._file, name_node.start_mark.line + 1)
                values[name] = self.build(value_node, (*key, name))
            return values
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*key, place)) for place, child in enumerate(node.value)]
        value = self._scalar(node)
        if isinstance(value, str):
            return ConfigStr.of(self._interpolated(value, key, line), self._folder, value)
        return value

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            return self._constructor.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError) as error:  # an unknown tag, an impossible date
            raise _invalid(error, self._file, node.start_mark.line + 1) from error

    def _pairs(self, node: yaml.MappingNode) -> tuple[list[Pair], list[Pair]]:
        """Keys and values that merge keys (`<<`) bring in, the weakest first, and the mapping's own."""
        merged: list[Pair] = []
        own: list[Pair] = []
        for name_node, value_node in node.value:
            if name_node.tag != _MERGE:
                own.append((name_node, value_node))
                continue
            several = isinstance(value_node, yaml.SequenceNode)
            for each in reversed(value_node.value) if several else [value_node]:
                if not isinstance(each, yaml.MappingNode):
                    line = value_node.start_mark.line + 1
                    raise ConfigError("not valid YAML: `<<` takes mappings", file=self._file, line=line)
                weaker, stronger = self._pairs(each)
                merged += [*weaker, *stronger]
        return merged, own

    def _interpolated(self, text: str, key: Key, line: int) -> str:
        def resolve(match: re.Match[str]) -> str:
            found = os.environ.get(match["name"], match["default"])
            if found is None:
                raise ConfigError(
                    f"the environment has no variable {match['name']!r} (a default is written "
                    f"${{{match['name']}:-default}})",
                    key=".".join(map(str, key)),
                    file=self._file,
                    line=line,
                )
            if is_secret_name(match["name"]):
                remember_secret(found)
            return found

        return _REFERENCE.sub(resolve, text)


def _parse_override(override: str, document: Document) -> Document:
    path, equals, text = override.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"--set takes KEY=VALUE, not {override!r}")
    steps = path.strip().split(".")
    laid = Document()
    reader = _Reader(laid, "--set", Path.cwd())
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: the value is not YAML: {error}") from error
    value = None if node is None else reader.build(node, tuple(steps))
    if steps[0] == "sources" and len(steps) > 2:
        names = [source.get("name") for source in document.values.get("sources", [])]
        if steps[1] not in names:
            raise ConfigError(f"--set {override}: there is no source {steps[1]!r}")
        tree: Any = value
        for step in reversed(steps[2:]):
            tree = {step: tree}
        laid.values = {"sources": [{"name": steps[1], **tree}]}
        laid.marks = {("sources", 0, *key[2:]): mark for key, mark in laid.marks.items() if len(key) > 1}
        return laid
    tree = value
    for step in reversed(steps):
        tree = {step: tree}
    laid.values = tree
    for length in range(1, len(steps) + 1):
        laid.marks.setdefault(tuple(steps[:length]), ("--set", 0))
    return laid


def _lay_over(base: Document, over: Document) -> None:
    """Merge the values and positions of `over` into `base`."""
    base.values = _merge(base, over, base.values, over.values, (), ())


def _merge(base: Document, over: Document, below: Any, above: Any, below_key: Key, above_key: Key) -> Any:
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        merged = dict(below)
        for name, value in above.items():
            _copy_mark(base, over, (*below_key, name), (*above_key, name))
            merged[name] = _merge(base, over, below.get(name), value, (*below_key, name), (*above_key, name))
        return merged
    if below_key == ("sources",) and isinstance(below, list) and isinstance(above, list):
        sources = list(below)
        names = {
            source.get("name"): place for place, source in enumerate(sources) if isinstance(source, dict)
        }
        for place, source in enumerate(above):
            name = source.get("name") if isinstance(source, dict) else None
            target = names.get(name, len(sources)) if name is not None else len(sources)
            if target == len(sources):
                sources.append(None)
            sources[target] = _merge(
                base, over, sources[target], source, ("sources", target), ("sources", place)
            )
        return sources
    _copy_marks_below(base, over, below_key, above_key)
    return above


def _copy_mark(base: Document, over: Document, below_key: Key, above_key: Key) -> None:
    if above_key in over.marks:
        base.marks[below_key] = over.marks[above_key]


def _copy_marks_below(base: Document, over: Document, below_key: Key, above_key: Key) -> None:
    length = len(above_key)
    for key, mark in over.marks.items():
        if key[:length] == above_key:
            base.marks[(*below_key, *key[length:])] = mark
