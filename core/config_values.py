"""Values of a configuration that depend on the folder of their file, such as relative paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class ConfigStr(str):
    """A string with the folder of the configuration file that contains it.

    `declared` is the string as it stands in the file, with references to environment variables.
    """

    folder: Path
    declared: str

    @classmethod
    def of(cls, text: str, folder: Path, declared: str | None = None) -> ConfigStr:
        """Return a ConfigStr for `text`, read from a file in `folder`; `declared` is `text` by default."""
        string = cls(text)
        string.folder, string.declared = folder, text if declared is None else declared
        return string


def as_declared(value: Any) -> Any:
    """Return a tree of values with each ConfigStr as it stands in its file."""
    if isinstance(value, Mapping):
        return {name: as_declared(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_declared(each) for each in value]
    return value.declared if isinstance(value, ConfigStr) else value


def _resolve(value: object) -> object:
    if not isinstance(value, str) or not value:
        return value
    if _ADDRESS.match(value):
        raise ValueError("a URL in place of a local path: copy or mount it first")
    base = value.folder if isinstance(value, ConfigStr) else Path.cwd()
    return str(base / Path(value).expanduser())


ResolvedPath = Annotated[str, BeforeValidator(_resolve)]
"""A path option. After validation it is absolute; its base is the folder of its configuration file."""
