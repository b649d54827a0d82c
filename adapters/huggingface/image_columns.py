"""Finds the images of a row: their columns, and their places in lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import pyarrow as pa
from pyarrow import types

from ...core.errors import ConfigError
from ...core.suggest import did_you_mean
from ..fields import Feature

LIST = None
"""A step into the elements of a list; other steps are names of struct fields."""

USUAL_NAMES = ("image", "images", "img", "file_name", "file_names", "image_path", "jpg", "png")
"""Names of columns with images or their paths, if neither options nor types determine the columns."""


class Kind(Enum):
    """The storage of an image in a column."""

    STRUCT = "struct"  # struct of `bytes` and `path`, as `datasets` stores its Image
    BYTES = "bytes"
    PATH = "path"


@dataclass(frozen=True)
class Leaf:
    """A column, or a field of a nested column, that contains images; `steps` is its path in the row."""

    steps: tuple[str | None, ...]
    kind: Kind

    @cached_property
    def column(self) -> str:
        """The top column."""
        return str(self.steps[0])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The steps without steps into lists."""
        return tuple(step for step in self.steps if step is not LIST)

    @cached_property
    def listed(self) -> bool:
        """Whether a row can have several images in this leaf."""
        return LIST in self.steps


@dataclass(slots=True)
class Reference:
    """One image of a row: its leaf, its indexes in lists, and its value."""

    leaf: Leaf
    index: tuple[int, ...]
    value: Any

    @property
    def spot(self) -> str:
        """The place inside the row in a locator: `images/0`."""
        return "/".join([".".join(self.leaf.names), *map(str, self.index)])


def leaves(schema: pa.Schema, features: Mapping[str, Feature], wanted: Sequence[str] | None) -> list[Leaf]:
    """Return the leaves with images in rows of `schema`; ConfigError (`columns.image`) if there are none.

    `wanted` names columns or nested fields. Without `wanted`: columns with the feature Image, else columns
    stored like an Image, else columns with a common name that contain bytes or text.
    """
    found = [leaf for field in schema for leaf in _find(field.type, features.get(field.name), (field.name,))]
    if wanted:
        return [leaf for name in wanted for leaf in _named(name, found, schema)]
    for declared in (True, False):
        chosen = [leaf for leaf, is_declared in found if is_declared is declared]
        if chosen:
            return chosen
    for name in USUAL_NAMES:
        if name in schema.names and (leaf := _plain(schema.field(name).type, (name,))):
            return [leaf]
    raise ConfigError(
        f"no column holds images; name one of: {', '.join(sorted(schema.names))}", key="columns.image"
    )


def references(row: Mapping[str, Any], places: Sequence[Leaf]) -> Iterator[Reference]:
    """Yield the images of a row; empty columns are skipped, an empty element of a list has the value None."""
    for leaf in places:
        for index, value in _walk(row.get(leaf.column), leaf.steps[1:], ()):
            yield Reference(leaf, index, value)


def at(row: Mapping[str, Any], names: Sequence[str], index: Sequence[int]) -> Any:
    """Return the value in a row at the path `names`, with `index` in lists; None if missing."""
    value: Any = row.get(names[0])
    rest, places = list(names[1:]), list(index)
    while value is not None:
        if isinstance(value, list):
            if not places or places[0] >= len(value):
                return None
            value = value[places.pop(0)]
        elif rest:
            value = value.get(rest.pop(0))
        else:
            return value
    return None


def _walk(
    value: Any, steps: Sequence[str | None], index: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], Any]]:
    if value is None:
        return
    if not steps:
        yield index, value
    elif steps[0] is LIST:
        for place, element in enumerate(value):
            if element is None:
                yield (*index, place), None
            else:
                yield from _walk(element, steps[1:], (*index, place))
    else:
        yield from _walk(value.get(steps[0]), steps[1:], index)


def _find(kind: pa.DataType, feature: Feature, steps: tuple[str | None, ...]) -> Iterator[tuple[Leaf, bool]]:
    """Yield the leaves below a type, and whether the features declare them as images."""
    if isinstance(feature, Mapping) and feature.get("_type") == "Image":
        leaf = _plain(kind, steps)
        if leaf:
            yield leaf, True
    elif _is_list(kind):
        yield from _find(kind.value_type, _element(feature), (*steps, LIST))
    elif types.is_struct(kind):
        if _is_image(kind) and not (isinstance(feature, Mapping) and "_type" in feature):
            yield Leaf(steps, Kind.STRUCT), False
            return
        for field in kind:
            inner = feature.get(field.name) if isinstance(feature, Mapping) else None
            yield from _find(field.type, inner, (*steps, field.name))


def _element(feature: Feature) -> Feature:
    """Return the feature of a list's elements, in any form used by versions of `datasets`."""
    if isinstance(feature, list):
        return feature[0] if feature else None
    return feature.get("feature") if isinstance(feature, Mapping) else None


def _plain(kind: pa.DataType, steps: tuple[str | None, ...]) -> Leaf | None:
    """Return the leaf for a type that contains an image or lists of images."""
    while _is_list(kind):
        kind, steps = kind.value_type, (*steps, LIST)
    if types.is_struct(kind) and _is_image(kind):
        return Leaf(steps, Kind.STRUCT)
    if is_bytes(kind):
        return Leaf(steps, Kind.BYTES)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return Leaf(steps, Kind.PATH)
    return None


def _named(name: str, found: Sequence[tuple[Leaf, bool]], schema: pa.Schema) -> list[Leaf]:
    """Return the leaves at or below a column or a dotted field."""
    chosen = [leaf for leaf, _ in found if f"{'.'.join(leaf.names)}.".startswith(f"{name}.")]
    if chosen:
        return chosen
    for field in schema:
        if name == field.name or name.startswith(f"{field.name}."):
            place = _descend(field.type, (field.name,), name[len(field.name) + 1 :])
            if place and (leaf := _plain(*place)):
                return [leaf]
            if place:
                raise ConfigError(f"{name} is {place[0]}, not bytes or a path", key="columns.image")
    raise ConfigError(
        f"there is no column {name!r}{did_you_mean(name, schema.names)} "
        f"(columns: {', '.join(sorted(schema.names))})",
        key="columns.image",
    )


def _descend(
    kind: pa.DataType, steps: tuple[str | None, ...], rest: str
) -> tuple[pa.DataType, tuple[str | None, ...]] | None:
    if not rest:
        return kind, steps
    if _is_list(kind):
        return _descend(kind.value_type, (*steps, LIST), rest)
    if types.is_struct(kind):
        for field in kind:
            if rest == field.name or rest.startswith(f"{field.name}."):
                return _descend(field.type, (*steps, field.name), rest[len(field.name) + 1 :])
    return None


def is_bytes(kind: pa.DataType) -> bool:
    """Return whether a type is binary."""
    if types.is_dictionary(kind):
        return is_bytes(kind.value_type)
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_image(kind: pa.StructType) -> bool:
    names = {field.name for field in kind}
    return "bytes" in names and names <= {"bytes", "path"} and is_bytes(kind.field("bytes").type)
