"""Renders rows on stdout as a table, JSON or CSV."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TextIO

import click

from .shared import printable, to_json

Table = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Columns and rows."""


def render(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], form: str, out: TextIO | None = None
) -> None:
    """Write rows as `table`, `json` (an array of objects) or `csv` (with a header); NULL is null or empty.

    `out` is a file in place of stdout.
    """
    out = out or sys.stdout
    if form == "json":
        names = _distinct(columns)
        objects = [dict(zip(names, map(plain, row), strict=True)) for row in rows]
        click.echo(to_json(objects, indent=2), file=out)
    elif form == "csv":
        writer = csv.writer(out, lineterminator="\n")
        shown = printable if out.isatty() else str
        writer.writerow(map(shown, columns))
        writer.writerows([["" if cell is None else _csv(cell, shown) for cell in row] for row in rows])
    else:
        _table(columns, rows, out)


def _distinct(columns: Sequence[str]) -> list[str]:
    """The names, with a number after repeated ones, since the names in a JSON object are unique."""
    names: list[str] = []
    for column in columns:
        name, number = column, 0
        while name in names:
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return names


def named(row: Mapping[str, Any]) -> str:
    """A row as one line of column names and values."""
    return ", ".join(f"{name}={_shown(cell)}" for name, cell in row.items())


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]], out: TextIO) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid

    listed = [list(row) for row in rows]
    table = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        numeric = all(isinstance(row[place], (int, float, Decimal)) or row[place] is None for row in listed)
        table.add_column(
            printable(column), justify="right" if numeric and listed else "left", overflow="fold"
        )
    for row in listed:
        table.add_row(*(_shown(cell) for cell in row))
    # a pipe has no width, and a row must stay on one line
    width = None if out.isatty() else 200
    console = Console(file=out, width=width, markup=False, highlight=False, emoji=False)
    console.print(table)


def _shown(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ", timespec="seconds")
    return printable(str(plain(cell)))


def _csv(cell: Any, shown: Callable[[str], str]) -> Any:
    value = plain(cell)
    return shown(str(value)) if isinstance(value, str | list | dict) else value


def plain(cell: Any) -> Any:
    """A value in the types of JSON and CSV; NaN and infinities become None."""
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return int(cell) if cell == cell.to_integral_value() else float(cell)
    if isinstance(cell, (list, tuple)):
        return [plain(part) for part in cell]
    if isinstance(cell, dict):
        return {str(key): plain(value) for key, value in cell.items()}
    if isinstance(cell, (bytes, bytearray)):
        return cell.hex()
    if cell is None or isinstance(cell, (bool, int, float, str)):
        return cell
    return str(cell)
