"""Names the rows of data files, and the places that a row names."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from ..fields import value_at
from .dataset_files import Files, LocalFiles, inside
from .dataset_options import HuggingfaceOptions

PLACE_FIELDS = ("split", "dataset", "config", "file", "stem", "dir")
"""Template fields in addition to columns."""


class RowNames:
    """Names the rows of a data file: by the declared key column, else by content.

    The content is every column except the bytes of images. Rows with the same name are numbered.
    """

    def __init__(self, source: HuggingfaceOptions) -> None:
        self._key = source.columns.key
        self._seen: dict[str, int] = {}

    def of(self, values: Mapping[str, Any]) -> str:
        """Return the name of the next row."""
        key = None if self._key is None else value_at(values, self._key)
        name = content_name(sorted(values.items())) if key is None else str(key)
        self._seen[name] = count = self._seen.get(name, 0) + 1
        return name if count == 1 else f"{name}~{count}"


def content_name(content: object) -> str:
    """Return a name of 16 hex digits for a value that `repr` shows in full."""
    return hashlib.blake2b(repr(content).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def candidates(named: str, folder: str, files: Files) -> list[str]:
    """Return the candidate paths, below the root, of a path in a row; none if it leads elsewhere."""
    root = str(files.root) if isinstance(files, LocalFiles) else None
    if named.startswith("/"):
        found = inside(named, root)
        return [found] if found else []
    paths: Iterable[str | None] = (inside(posixpath.join(folder, named)), inside(named))
    return list(dict.fromkeys(path for path in paths if path))


def place_of(source: HuggingfaceOptions, path: str, split: str) -> dict[str, str]:
    """Return the template fields PLACE_FIELDS of a data file."""
    name = posixpath.basename(path)
    dataset = source.hub_id or source.dataset.rstrip("/").rpartition("/")[2]
    return {
        "split": split,
        "dataset": dataset,
        "config": source.config or "",
        "file": name,
        "stem": name.partition(".")[0],
        "dir": posixpath.dirname(path),
    }
