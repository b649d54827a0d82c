"""Values of a configuration that depend on the folder of their file, such as relative paths."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class ConfigStr(str):
    """A string with the folder of the configuration file that contains it."""

    folder: Path

    @classmethod
    def of(cls, text: str, folder: Path) -> ConfigStr:
        """Return a ConfigStr for `text`, read from a file in `folder`."""
        string = cls(text)
        string.folder = folder
        return string


def _resolve(value: object) -> object:
    if not isinstance(value, str) or not value:
        return value
    if _ADDRESS.match(value):
        raise ValueError("a URL in place of a local path: copy or mount it first")
    base = value.folder if isinstance(value, ConfigStr) else Path.cwd()
    return str(base / Path(value).expanduser())


ResolvedPath = Annotated[str, BeforeValidator(_resolve)]
"""A path option. After validation it is absolute; its base is the folder of its configuration file."""
