"""SQL by name: the text of the files under `sql/`, and the one place where identifiers are quoted."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

SCHEMA_VERSION = 1
"""The number of the last file in `sql/schema/`; each is one step of the schema, in order and without gaps."""


@cache
def query(name: str) -> str:
    """The text of `sql/<name>.sql`, such as `query("sampling/draw")`; FileNotFoundError if there is none."""
    folder, _, leaf = name.rpartition("/")
    return files(f"derlem.sql.{folder}").joinpath(f"{leaf}.sql").read_text("utf-8")


def names(folder: str) -> list[str]:
    """Names of the SQL files in `sql/<folder>/`, sorted."""
    found = (entry.name for entry in files(f"derlem.sql.{folder}").iterdir())
    return sorted(f"{folder}/{name[:-4]}" for name in found if name.endswith(".sql"))


def quoted(identifier: str) -> str:
    """An identifier as SQL text. Only plain names pass: values are bound, never spelled."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", identifier):
        raise ValueError(f"not a plain identifier: {identifier!r}")
    return f'"{identifier}"'
