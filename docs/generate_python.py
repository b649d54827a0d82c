"""The page on the Python interface: every name of `derlem.__all__`, from signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from functools import cached_property
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

import derlem
from derlem import results


def python_api() -> str:
    """Every public name of `derlem` with its signature, docstring and members, functions first."""
    sections = [
        "# Python",
        "Everything public is imported from `derlem`.",
        inspect.cleandoc(derlem.__doc__ or ""),
    ]
    public = {name: value for name in derlem.__all__ if callable(value := getattr(derlem, name))}
    for name, value in sorted(public.items(), key=lambda pair: (_kind(pair[1]), pair[0])):
        sections += _described(name, value)
    sections.append("# Results\n\nWhat the methods of `Project` return. Fields are read-only.")
    for name, value in inspect.getmembers(results, inspect.isclass):
        if value.__module__ == results.__name__:
            sections += _described(name, value)
    return "\n\n".join(part for part in sections if part)


def _described(name: str, value: Any) -> Iterator[str]:
    yield f"## {name}"
    yield f"```python\n{_heading(name, value)}\n```"
    yield _escaped(inspect.cleandoc(value.__doc__ or ""))
    if inspect.isclass(value):
        yield from _members(name, value)


def _kind(value: Any) -> int:
    """Order on the page: functions, the project, other classes, errors."""
    if not inspect.isclass(value):
        return 0
    return 3 if issubclass(value, BaseException) else 1 if value.__name__ == "Project" else 2


def _heading(name: str, value: Any) -> str:
    if not inspect.isclass(value):
        return name + _signature(value)
    bases = [base.__name__ for base in value.__bases__ if base.__name__ not in ("object", "Generic", "ABC")]
    if issubclass(value, (BaseException, BaseModel, Enum)) or getattr(value, "_is_protocol", False):
        return f"class {name}({', '.join(bases)})"
    return f"class {name}{_signature(value)}"


def _members(owner: str, value: type) -> Iterator[str]:
    if issubclass(value, Enum):
        yield ", ".join(f"`{member.value}`" for member in value)
        return
    # methods of a class that only divides a public one into files belong to the public one
    parts = [base for base in value.__bases__ if base.__module__ == "derlem.sync"]
    for name, member in [pair for part in (value, *parts) for pair in vars(part).items()]:
        inner = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        documented = inspect.isfunction(inner) or isinstance(inner, (property, cached_property))
        if name.startswith("_") or not documented:
            continue
        signature = f"```python\n{name}{_signature(inner)}\n```\n\n" if inspect.isfunction(inner) else ""
        yield f"### {owner}.{name}\n\n{signature}{_escaped(inspect.cleandoc(inner.__doc__ or ''))}"


def _signature(value: Any) -> str:
    """The signature as it stands in the source, one parameter per line where it is long."""
    signature = inspect.signature(value)
    parts: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in "".join(part[:1] for part in parts):
            parts.append("*")
        star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
        annotated = parameter.annotation is not parameter.empty
        text = star + parameter.name + (f": {_annotation(parameter.annotation)}" if annotated else "")
        if parameter.default is not parameter.empty:
            text += f" = {_default(parameter.default)}" if annotated else f"={_default(parameter.default)}"
        parts.append(text)
    result = "" if inspect.isclass(value) else f" -> {_annotation(signature.return_annotation)}"
    line = f"({', '.join(parts)}){result}"
    return line if len(line) < 90 else "(\n" + "".join(f"    {part},\n" for part in parts) + f"){result}"


def _default(value: Any) -> str:
    if isinstance(value, PurePath):
        return repr(str(value))
    return "..." if "object at" in repr(value) or repr(value) == "<factory>" else repr(value)


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _escaped(text: str) -> str:
    """A docstring as Markdown: angle brackets outside code are text, not HTML."""
    return re.sub(r"<(?=[^`]*(?:`[^`]*`[^`]*)*$)", r"\\<", text)
