"""Writes the pages of `docs/reference/` from the code that they describe.

`python docs/generate.py` writes the pages, `python docs/generate.py --check` fails if one is not current.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import click
import duckdb
from generate_python import python_api
from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from derlem.adapters.base import SourceOptions
from derlem.adapters.registry import adapter_class, adapter_names
from derlem.catalog import status
from derlem.catalog.audit import load_audits
from derlem.catalog.connection import create_schema
from derlem.catalog.queries import names, query
from derlem.catalog.status import TRANSITIONS, Reason, Status
from derlem.cli import main as command_group
from derlem.settings.config import Config

FOLDER = Path(__file__).parent / "reference"
NOTICE = "<!-- Generated from the code by `make docs`; changes belong in the code. -->\n\n"


def pages() -> dict[str, str]:
    """The generated pages: file name to text."""
    found = {
        "configuration.md": configuration(),
        "cli.md": commands(),
        "python.md": python_api(),
        "catalog.md": catalog(),
        "statuses.md": statuses(),
        "audits.md": audits(),
    }
    return {name: NOTICE + text.rstrip() + "\n" for name, text in found.items()}


# configuration: from the pydantic models


def configuration() -> str:
    """A table per section and per adapter; keys of nested options are dotted."""
    sections = [
        "# Configuration",
        "A configuration is YAML. It is validated before any work starts: an unknown key is an error that "
        "names the file, the line and the nearest valid key.",
        "Values may contain `${NAME}` or `${NAME:-default}`, which are replaced by environment variables. "
        "Relative paths are resolved against the file that contains them. Several `-c` files are merged "
        "left to right, sources by name.",
        "## Top level",
        _table(Config, leave_out={"sources"}, deep=False),
        "## Every source",
        "`sources` is a list. Each entry has these keys and those of its adapter.",
        _table(SourceOptions),
    ]
    for name in adapter_names():
        options = adapter_class(name).Options
        sections += [f"## Adapter `{name}`", _prose(inspect.cleandoc(options.__doc__ or ""))]
        sections.append(_table(options, leave_out=set(SourceOptions.model_fields)))
    for key, field in Config.model_fields.items():
        for model in _models(field.annotation):
            sections += [f"## Section `{key}`", _prose(inspect.cleandoc(model.__doc__ or "")), _table(model)]
    return "\n\n".join(section.strip() for section in sections)


def _table(model: type[BaseModel], leave_out: AbstractSet[str] = frozenset(), deep: bool = True) -> str:
    return table(("key", "default", "meaning"), _rows(model, leave_out, "", deep, (model,)))


def _rows(
    model: type[BaseModel],
    leave_out: AbstractSet[str],
    prefix: str,
    deep: bool,
    above: tuple[type[BaseModel], ...],
) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        if name in leave_out:
            continue
        below = _models(field.annotation)
        meaning = field.description or (first_paragraph(below[0].__doc__) if below else "")
        yield f"`{prefix}{name}`", _default(name, field), meaning
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


# command line: from click


def commands() -> str:
    """Global options, then each command with its help, arguments and options."""
    sections = [
        "# Command line",
        "`derlem [OPTIONS] COMMAND [ARGUMENTS]`. Rows go to stdout, messages to stderr.",
        table(
            ("exit code", "meaning"),
            [
                ("0", "done"),
                ("1", "failure"),
                ("2", "usage or configuration error"),
                ("3", "an audit of severity `error` has rows"),
                ("4", "another instance works on the workspace"),
                ("128 + n", "ended by signal n"),
            ],
        ),
        "## Options before the command",
        _option_table(command_group),
    ]
    for name, command in _commands(command_group, "derlem"):
        summary, _, rest = inspect.cleandoc(command.help or "").partition("Example:")
        sections += [f"## {name}", f"`{' '.join([name, *_usage(command)])}`", _prose(summary)]
        if any(isinstance(each, click.Option) for each in command.params):
            sections.append(_option_table(command))
        sections.append("```sh\n" + inspect.cleandoc(rest.strip("\n")) + "\n```")
    return "\n\n".join(sections)


def _prose(text: str) -> str:
    return "\n\n".join(
        " ".join(part.split()) for part in text.replace("\b", "").split("\n\n") if part.strip()
    )


def _commands(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix} {name}")
        elif command is not None:
            yield f"{prefix} {name}", command


def _usage(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            shown = (parameter.name or "").upper()
            yield f"[{shown}...]" if parameter.nargs == -1 else shown if parameter.required else f"[{shown}]"
        else:
            yield f"[{_option(parameter)}]"


def _option(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return parameter.opts[-1]
    if isinstance(parameter.type, click.Choice):
        return f"{parameter.opts[-1]} {'|'.join(map(str, parameter.type.choices))}"
    return f"{parameter.opts[-1]} {parameter.metavar or (parameter.name or '').upper()}"


def _option_table(command: click.Command) -> str:
    options = [each for each in command.params if isinstance(each, click.Option)]
    return table(("option", "meaning"), [(f"`{_option(each)}`", each.help or "") for each in options])


# catalog: from the SQL files


def catalog() -> str:
    """Tables from the comments of `sql/schema/`, views from their first comment and the columns they have."""
    sections = [
        "# Catalog tables and views",
        '`work/catalog.duckdb` is a DuckDB file. `derlem sql "..."` queries it read-only; '
        "`derlem.Project.sql` returns the answer as an Arrow table.",
        "## Tables",
    ]
    for name in names("schema"):
        for title, about, columns in _tables(query(name)):
            sections += [f"### {title}", about, table(("column", "type", "meaning"), columns)]
    sections.append("## Views")
    connection = duckdb.connect()
    create_schema(connection)
    for name in names("views"):
        view = name.rpartition("/")[2]
        columns = connection.execute(f'DESCRIBE "{view}"').fetchall()
        about = " ".join(line.lstrip("- ") for line in query(name).splitlines() if line.startswith("--"))
        sections += [f"### {view}", about, table(("column", "type"), [(f"`{c[0]}`", c[1]) for c in columns])]
    return "\n\n".join(part for part in sections if part)


def _tables(text: str) -> Iterator[tuple[str, str, list[tuple[str, str, str]]]]:
    for found in re.finditer(r"^CREATE TABLE (\w+) \([ ]*(?:-- (.*))?\n((?:.*\n)*?)\);", text, re.MULTILINE):
        columns: list[tuple[str, str, str]] = []
        for line in found[3].splitlines():
            if column := re.match(r'\s+"?(\w+)"?\s+([A-Z][^-]*?),?\s*(?:-- (.*))?$', line):
                columns.append((f"`{column[1]}`", column[2].strip(), column[3] or ""))
            elif more := re.match(r"\s+-- (.*)$", line):
                name, kind, meaning = columns.pop()
                columns.append((name, kind, f"{meaning} {more[1]}".strip()))
        yield found[1], found[2] or "", columns


# statuses, reasons and audits


def statuses() -> str:
    """Statuses with their transitions and reasons with the status they lead to, from `catalog/status.py`."""
    meanings = _member_meanings(inspect.getsource(status))
    reasons = [(f"`{reason}`", f"`{reason.status}`", meanings["Reason", reason.name]) for reason in Reason]
    moves = [
        (
            f"`{each}`",
            meanings["Status", each.name],
            ", ".join(f"`{after}`" for after in Status if after in TRANSITIONS[each]) or "-",
        )
        for each in Status
    ]
    return "\n\n".join(
        [
            "# Statuses and reasons",
            "Every item has one status. Per source, `discovered` = `ready` + `expanded` + `rejected` + "
            "`failed` + `withdrawn` + pending.",
            table(("status", "meaning", "may become"), moves),
            "## Reasons",
            "The reason code of a rejected, failed or withdrawn item. The view `rejections` counts them.",
            table(("reason", "status", "meaning"), reasons),
        ]
    )


def _member_meanings(source: str) -> dict[tuple[str, str], str]:
    """(class, member) to the string below the member."""
    found: dict[tuple[str, str], str] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            for member, after in zip(node.body, node.body[1:], strict=False):
                if isinstance(member, ast.Assign) and isinstance(member.targets[0], ast.Name):
                    value = after.value if isinstance(after, ast.Expr) else None
                    if isinstance(value, ast.Constant) and isinstance(value.value, str):
                        found[node.name, member.targets[0].id] = value.value
    return found


def audits() -> str:
    """Name, severity and meaning of each built-in audit, from the headers of `sql/audit/`."""
    rows = [
        (f"`{each.name}`", each.severity, each.meaning + (" Only with `--deep`." if each.deep else ""))
        for each in load_audits()
    ]
    return "\n\n".join(
        [
            "# Audits",
            "An audit is a SQL query that returns failing rows. `derlem audit` runs all of them; the "
            "exit code is 3 when an audit of severity `error` has rows.",
            table(("audit", "severity", "a row is"), rows),
        ]
    )


# what all pages share


def first_paragraph(text: str | None) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join((text or "").split("\n\n")[0].split())


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` compare them; the exit code."""
    stale = []
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        path = FOLDER / name
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text, "utf-8")
    if stale and "--check" in arguments:
        print(f"not current: {', '.join(stale)}; run `python docs/generate.py`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
