"""The command and config reference of the README, written from the commands and models themselves.

`python -m derlem.settings.reference README.md` brings a file up to date between its markers.
"""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ..adapters.registry import adapter_class, adapter_names
from ..catalog.errors import DerlemError
from ..cli import main
from .options import Config

_MARKERS = re.compile(r"(<!-- (commands|config) -->\n).*?(<!-- /\2 -->)", re.DOTALL)


def brought_up_to_date(text: str) -> str:
    """The text with what stands between its markers written anew."""
    parts = {"commands": commands(), "config": config()}
    return _MARKERS.sub(lambda found: f"{found[1]}{parts[found[2]]}{found[3]}", text)


def commands() -> str:
    """A table of all commands with their first lines and options."""
    lines = ["| command | what it does |", "|---|---|"]
    for name, command in _commands(main, "derlem"):
        usage = " ".join([name, *_usage(command)])
        lines.append(f"| `{usage}` | {_first_sentence(command.help or '')} |")
    return "\n".join(lines) + "\n"


def config() -> str:
    """A table per section: key, default, meaning."""
    sections = ["#### Top level", _table(Config, leave_out={"sources"})]
    for name in adapter_names():
        try:
            options = adapter_class(name).Options
        except DerlemError:
            continue
        sections += [f"#### A source with `adapter: {name}`", (options.__doc__ or "").split("\n\n")[0]]
        sections.append(_table(options))
    for key, field in Config.model_fields.items():
        for model in _models(field.annotation):
            if key != "sources":
                sections += [f"#### `{key}`", (model.__doc__ or "").split("\n\n")[0], _table(model)]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _commands(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def _usage(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            shown = (parameter.name or "").upper()
            yield f"[{shown}...]" if parameter.nargs == -1 else shown if parameter.required else f"[{shown}]"
        else:
            flag = isinstance(parameter, click.Option) and parameter.is_flag
            metavar = parameter.metavar or (parameter.name or "").upper()
            yield f"[{parameter.opts[0]}]" if flag else f"[{parameter.opts[0]} {metavar}]"


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


def _table(model: type[BaseModel], leave_out: set[str] = frozenset()) -> str:  # type: ignore[assignment]
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if name in leave_out:
            continue
        meaning = field.description or ""
        below = _models(field.annotation)
        if not meaning and below:
            meaning = _first_sentence(below[0].__doc__ or "")
        lines.append(f"| `{name}` | {_default(field)} | {meaning.replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    if field.default is PydanticUndefined:
        below = _models(field.annotation)
        return "" if below or field.default_factory not in (dict, list) else "none"
    if field.default is None or field.default in ((), [], {}):
        return "none"
    value = field.default
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, int):
        value = f"{value:_}" if value >= 100_000 else value
    return f"`{value}`"


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [model for part in typing.get_args(annotation) for model in _models(part)]
    return []


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(brought_up_to_date(path.read_text("utf-8")), "utf-8")
