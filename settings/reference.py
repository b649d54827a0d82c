"""The command and config reference of the README, written from the commands and models themselves.

`python -m derlem.settings.reference README.md` brings a file up to date between its markers.
"""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ..adapters.base import SourceOptions
from ..adapters.registry import adapter_class, adapter_names
from ..cli import main
from .config import Config

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
        lines.append(f"| `{usage}` | {_first_paragraph(command.help).replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def config() -> str:
    """A table per section: key, default, meaning; keys inside a section's parts are dotted."""
    sections = ["#### Top level", _table(Config, leave_out={"sources"}, deep=False)]
    sections += ["#### Every source", _table(SourceOptions)]
    for name in adapter_names():
        options = adapter_class(name).Options
        sections += [f"#### A source with `adapter: {name}`", _first_paragraph(options.__doc__)]
        sections.append(_table(options, leave_out=set(SourceOptions.model_fields)))
    for key, field in Config.model_fields.items():
        for model in _models(field.annotation):
            sections += [f"#### `{key}`", _first_paragraph(model.__doc__), _table(model)]
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


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _table(model: type[BaseModel], leave_out: AbstractSet[str] = frozenset(), deep: bool = True) -> str:
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += _rows(model, leave_out, "", deep, (model,))
    return "\n".join(lines)


def _rows(
    model: type[BaseModel],
    leave_out: AbstractSet[str],
    prefix: str,
    deep: bool,
    above: tuple[type[BaseModel], ...],
) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name in leave_out:
            continue
        below = _models(field.annotation)
        meaning = field.description or (_first_paragraph(below[0].__doc__) if below else "")
        yield f"| `{prefix}{name}` | {_default(name, field)} | {meaning.replace('|', chr(92) + '|')} |"
        for part in below if deep else ():
            if part not in above:
                yield from _rows(part, frozenset(), f"{prefix}{name}.", deep, (*above, part))


def _default(name: str, field: FieldInfo) -> str:
    value = field.default
    if name == "workspace":
        return "`work`, beside the configuration"
    if field.is_required():
        return "required"
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    if value is None or value in ((), [], {}, ""):
        return "none"
    if isinstance(value, ByteSize):
        return f"`{value.human_readable(decimal=value % 1000 == 0, separator=' ')}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int):
        return f"`{value:_}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
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
