"""The configured predicate (`where`): checked with DuckDB's parser, evaluated once over all items."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from ..core.errors import ConfigError
from .temp_tables import TempTables

_CLOCK = {
    "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp",
    "current_localtime", "current_localtimestamp",
}  # fmt: skip
"""Functions that SQL calls without parentheses; the parser sees column names."""

_MISDECLARED = {("age", 1)}
"""Functions of the current time that DuckDB declares as constant, with their number of arguments."""

_INCONSTANT = """
SELECT DISTINCT function_name, CASE WHEN varargs IS NULL THEN len(parameters) END AS arguments
FROM duckdb_functions()
WHERE stability <> 'CONSISTENT'
"""

Node = dict[str, Any]


def evaluate_predicate(temp: TempTables, predicate: str) -> None:
    """Make `draw_unmatched`: the ready items for which the predicate is not true.

    Raises ConfigError unless the predicate is one expression over `items` that is a function of their rows,
    and where it fails on an item.
    """
    try:
        _check(temp.connection, predicate)
        temp.table(
            "draw_unmatched",
            # CASE, so that the predicate is evaluated for ready items only
            "SELECT item_id FROM items WHERE CASE WHEN status = 'ready' "
            f"THEN NOT coalesce((\n{predicate}\n), FALSE) ELSE FALSE END",
        )
    except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
        raise ConfigError(f"the predicate fails on some item: {error}", key="sample.where") from error
    except duckdb.Error as error:
        raise ConfigError(f"not a predicate over `items`: {error}", key="sample.where") from error


def _check(connection: duckdb.DuckDBPyConnection, predicate: str) -> None:
    text = f"SELECT 1 FROM items WHERE (\n{predicate}\n)"
    if len(connection.extract_statements(text)) != 1:
        raise ConfigError("one SQL expression over `items`, not several statements", key="sample.where")
    statement = _parse(connection, text)
    expression = statement.pop("where_clause", None)
    template = _parse(connection, "SELECT 1 FROM items WHERE (\nTRUE\n)")
    template.pop("where_clause")
    if statement != template:
        raise ConfigError("one SQL expression over `items`, not further clauses", key="sample.where")
    functions = connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'"
    )
    aggregates = {name for (name,) in functions.fetchall()}
    inconstant = _MISDECLARED | set(connection.execute(_INCONSTANT).fetchall())
    relations = {
        name
        for (name,) in connection.execute(
            "SELECT table_name FROM duckdb_tables() UNION SELECT view_name FROM duckdb_views()"
        ).fetchall()
    }
    for node, nested in _nodes(expression):
        _check_node(node, nested, aggregates, inconstant, relations)
    connection.execute(f"EXPLAIN {text}")  # names and types


def _parse(connection: duckdb.DuckDBPyConnection, text: str) -> Node:
    """The parsed form of a SELECT."""
    [(found,)] = connection.execute("SELECT json_serialize_sql($text)", {"text": text}).fetchall()
    parsed = json.loads(found)
    if parsed["error"]:
        message = parsed["error_message"]
        raise ConfigError(f"not a predicate over `items`: {message}", key="sample.where")
    node: Node = parsed["statements"][0]["node"]
    return node


def _nodes(value: Any, nested: bool = False) -> Iterator[tuple[Node, bool]]:
    """All objects of a parsed expression, each with whether it is part of a subquery."""
    if isinstance(value, list):
        for each in value:
            yield from _nodes(each, nested)
    elif isinstance(value, dict):
        yield value, nested
        for each in value.values():
            yield from _nodes(each, nested or value.get("class") == "SUBQUERY")


def _check_node(
    node: Node,
    nested: bool,
    aggregates: set[str],
    inconstant: set[tuple[str, int | None]],
    relations: set[str],
) -> None:
    """Raise ConfigError for a part that is not a function of an item's row and the catalog."""
    kind = node.get("class") or node.get("type")
    name = str(node.get("function_name", "")).lower()
    if kind == "COLUMN_REF" and len(node["column_names"]) == 1:
        name = node["column_names"][0].lower()
    if kind == "WINDOW" and not nested:
        problem = f"{name or 'a window function'} is a window function; a predicate is about a single item"
    elif kind == "FUNCTION" and name in aggregates and not nested:
        problem = f"{name} is an aggregate; a predicate is about a single item"
    elif kind in ("FUNCTION", "COLUMN_REF") and _varies(node, name, inconstant):
        problem = f"{name} gives another answer each time; a manifest must be reproducible"
    elif kind == "PARAMETER":
        problem = "a parameter has no value in a predicate"
    elif kind == "TABLE_FUNCTION" or (kind == "BASE_TABLE" and node["table_name"] not in relations):
        problem = "a predicate reads the catalog only"
    else:
        return
    raise ConfigError(problem, key="sample.where")


def _varies(node: Node, name: str, inconstant: set[tuple[str, int | None]]) -> bool:
    """Whether a function's value depends on more than its arguments."""
    if node["class"] == "COLUMN_REF":
        return name in _CLOCK
    arguments = len(node.get("children") or node.get("arguments") or ())  # DuckDB 1, DuckDB 2
    return name in _CLOCK or (name, arguments) in inconstant or (name, None) in inconstant
