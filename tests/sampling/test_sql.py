"""The sampling queries stay within what other engines run."""

from __future__ import annotations

import re

import pytest
import sqlglot
from sqlglot import exp

from derlem.catalog.queries import names, query

QUERIES = names("sampling")


@pytest.mark.parametrize("name", QUERIES)
def test_it_can_be_transpiled_to_spark(name: str) -> None:
    (spark,) = sqlglot.transpile(
        query(name), read="duckdb", write="spark", unsupported_level=sqlglot.ErrorLevel.RAISE
    )
    assert sqlglot.parse_one(spark, read="spark")


@pytest.mark.parametrize("name", QUERIES)
def test_it_calls_only_functions_that_every_engine_has(name: str) -> None:
    """DuckDB's own functions, `hash` above all, would pass through sqlglot unseen."""
    unknown = {
        call.name.lower() for call in sqlglot.parse_one(query(name), read="duckdb").find_all(exp.Anonymous)
    }
    assert unknown <= {"bit_count"}
    assert not re.search(r"\bhash\s*\(|\bQUALIFY\b|\bGROUP BY ALL\b|\bEXCLUDE\b", query(name))


@pytest.mark.parametrize("name", QUERIES)
def test_it_says_what_it_is_for(name: str) -> None:
    assert query(name).startswith("-- ")
