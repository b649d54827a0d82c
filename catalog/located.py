"""What is said in a configuration file, and where that file lies."""

from __future__ import annotations

from pathlib import Path


class Located(str):
    """A string that remembers the folder of the configuration file it was read from."""

    folder: Path

    @classmethod
    def of(cls, text: str, folder: Path) -> Located:
        """`text`, read from a file in `folder`."""
        located = cls(text)
        located.folder = folder
        return located
