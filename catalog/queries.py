"""Reads SQL files under `sql/` by name, and quotes identifiers (only here)."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

SCHEMA_VERSION = 1
"""The number of the last file in `sql/schema/`; each is one step of the schema, in order and without gaps."""


@cache
def query(name: str) -> str:
    """Return the text of `sql/<name>.sql`, such as `query("sampling/draw")`; FileNotFoundError if missing."""
    folder, _, leaf = name.rpartition("/")
    return files(f"derlem.sql.{folder}").joinpath(f"{leaf}.sql").read_text("utf-8")


def names(folder: str) -> list[str]:
    """Return the names of the SQL files in `sql/<folder>/`, sorted."""
    found = (entry.name for entry in files(f"derlem.sql.{folder}").iterdir())
    return sorted(f"{folder}/{name[:-4]}" for name in found if name.endswith(".sql"))


def quoted(identifier: str) -> str:
    """Return an identifier as SQL text; ValueError unless it is a plain name. Values must be bound."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", identifier):
        raise ValueError(f"not a plain identifier: {identifier!r}")
    return f'"{identifier}"'
