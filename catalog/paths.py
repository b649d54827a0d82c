"""Paths in configuration: relative ones are meant against the file in which they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from .located import Located

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def _against_its_file(value: object) -> object:
    if not isinstance(value, str) or not value:
        return value
    if _ADDRESS.match(value):
        raise ValueError("an address, where a path on this machine belongs: copy or mount it first")
    base = value.folder if isinstance(value, Located) else Path.cwd()
    return str(base / Path(value).expanduser())


ResolvedPath = Annotated[str, BeforeValidator(_against_its_file)]
"""A path option. After validation it is absolute; its base is the folder of its configuration file."""
