"""The files that a path names (a folder, a file or a glob), walked in one order, opened below the root."""

from __future__ import annotations

import errno
import fnmatch
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..catalog.models import Failure
from ..catalog.status import Reason
from ..core.errors import ConfigError

_REFUSALS = {
    errno.ENOENT: (Reason.MISSING, "gone since it was discovered"),
    errno.ENOTDIR: (Reason.MISSING, "gone since it was discovered"),
    errno.ELOOP: (Reason.LINK, "became a link out of the source"),
}


class Unreadable(NamedTuple):
    """Something in a folder that is there but cannot be read as a file."""

    name: str
    reason: Reason
    detail: str


@dataclass(slots=True)
class Folder:
    """One folder of a walk: `path` below the root ('' is the root), its file names, all sorted.

    Names are as the operating system gives them: bytes that are not UTF-8 are surrogate escapes.
    `files` are those that were asked for, `others` the remaining ones (a glob left them out).
    """

    path: str
    files: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)

    def join(self, name: str) -> str:
        """The path below the root of a name in this folder."""
        return f"{self.path}/{name}" if self.path else name


WORKSPACE_MARK = "catalog.duckdb"
"""A folder below a source with this file is a workspace, such as that of a trial: it holds no items."""


class Tree:
    """The files that a path names: a folder (all below it), one file, or a glob with `*`, `?`, `[..]`, `**`.

    `root` is the folder that names are relative to: the folder itself, the folder of the one file, or
    the last folder before the first wildcard. A path that exists is taken literally, wildcards or not.
    """

    def __init__(self, path: str, *, hidden: bool = False, without: Path | None = None) -> None:
        """Parse `path`; ConfigError if there is nothing there.

        Names that start with a dot are passed over unless `hidden`; the folder `without` (the
        workspace, which may lie inside the source) always is.
        """
        self._hidden = hidden
        self._without = os.path.realpath(without) if without else None
        top, pattern = _split(path)
        if not Path(top).is_dir() or not pattern:
            raise ConfigError(f"there is nothing at {path}", key="path")
        if pattern == (_literal(Path(path).name),):
            self._hidden = True
        self.root = os.path.realpath(top)
        self._pattern = pattern
        self._tests = [None if step == "**" else _matcher(step) for step in pattern]

    def folders(self) -> Iterator[Folder]:
        """Walk depth first: the files of a folder, then its folders, each sorted by name.

        At most one folder's names are in memory at a time, and those of the folders on the way to it.
        Links to files are followed as long as they stay below the root; all other links are odd.
        """
        stack: list[tuple[str, frozenset[int]]] = [("", self._closure({0}))]
        while stack:
            path, states = stack.pop()
            folder = Folder(path)
            below = self._list(folder, states)
            folder.files.sort()
            folder.others.sort()
            folder.unreadable.sort()
            yield folder
            stack.extend(sorted(below, reverse=True))

    def _list(self, folder: Folder, states: frozenset[int]) -> list[tuple[str, frozenset[int]]]:
        """Fill `folder` with what is in it and return the folders in it that can hold matches."""
        below = []
        try:
            entries = os.scandir(f"{self.root}/{folder.path}")
        except FileNotFoundError:
            return []  # it vanished since its parent was listed: there is nothing there
        except OSError as error:
            folder.unreadable.append(Unreadable("", Reason.UNREADABLE, f"folder: {error.strerror}"))
            return []
        with entries:
            found = list(entries)
            if folder.path and any(entry.name == WORKSPACE_MARK for entry in found):
                return []
            for entry in found:
                name = entry.name
                if name[0] == "." and not self._hidden:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    after = self._closure(self._step(states, name))
                    if after and entry.path != self._without:
                        below.append((folder.join(name), after))
                elif entry.is_file(follow_symlinks=False):
                    (folder.files if self._accepts(states, name) else folder.others).append(name)
                elif self._accepts(states, name):
                    self._list_unreadable(folder, entry)
        return below

    def _list_unreadable(self, folder: Folder, entry: os.DirEntry[str]) -> None:
        """Sort out what is neither a plain file nor a folder."""
        if not entry.is_symlink():
            folder.unreadable.append(
                Unreadable(entry.name, Reason.SPECIAL_FILE, "neither a file nor a folder")
            )
        elif inside(self.root, entry.path) is None:
            folder.unreadable.append(
                Unreadable(entry.name, Reason.LINK, "a link out of the source, or to nothing")
            )
        elif entry.is_dir():
            folder.unreadable.append(Unreadable(entry.name, Reason.LINK, "a link to a folder"))
        else:
            folder.files.append(entry.name)

    def _step(self, states: frozenset[int], name: str) -> set[int]:
        """Positions in the pattern after a folder called `name`."""
        after = set()
        for state in states:
            test = self._tests[state]
            if test is None:
                after.add(state)
            elif state + 1 < len(self._tests) and test(name):
                after.add(state + 1)
        return after

    def _closure(self, states: set[int]) -> frozenset[int]:
        """Add the positions that a `**` reaches by matching no folder at all."""
        for state in sorted(states):
            while self._tests[state] is None and state + 1 < len(self._tests):
                state += 1
                states.add(state)
        return frozenset(states)

    def _accepts(self, states: frozenset[int], name: str) -> bool:
        """Whether a file called `name` completes the pattern; a final `**` takes every file."""
        last = len(self._tests) - 1
        if last not in states:
            return False
        test = self._tests[last]
        return test is None or bool(test(name))


def root_of(path: str) -> str:
    """The root that names in `path` are relative to, whether or not there is anything (any more)."""
    return os.path.realpath(_split(path)[0])


def inside(root: str, path: str) -> str | None:
    """The real path of `path` if it exists and lies below `root` (itself a real path), else None."""
    try:
        real = os.path.realpath(path, strict=True)
    except OSError:
        return None
    return real if real.startswith(f"{root.rstrip('/')}/") else None


def open_below(root: str, path: str) -> int:
    """A handle to read the file `path` below `root` (itself a real path); OSError if it is not to be had.

    A link is followed if it stays below the root, else it is refused with ELOOP.
    """
    # Without NONBLOCK, opening a file that has become a pipe would wait for a writer.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(f"{root}/{path}", flags)
    except OSError as error:
        real = inside(root, f"{root}/{path}") if error.errno == errno.ELOOP else None
        if real is None:
            raise
        return os.open(real, flags)


def file_revision(found: os.stat_result) -> str:
    """The revision of a file by its size and time: it changes when the file is written."""
    return f"{found.st_size:x}-{found.st_mtime_ns:x}"


def failure_from_os_error(error: OSError | MemoryError) -> Failure:
    """The failure of an item whose file could not be opened or read."""
    if isinstance(error, MemoryError):
        return Failure(Reason.OUT_OF_MEMORY, "reading it needs more memory than there is")
    reason, detail = _REFUSALS.get(error.errno or 0, (Reason.UNREADABLE, error.strerror or str(error)))
    return Failure(reason, detail)


def _matcher(step: str) -> Callable[[str], object]:
    if step == "*":
        return bool  # every name; names are never empty
    return re.compile(fnmatch.translate(step)).match


def _literal(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _split(path: str) -> tuple[str, tuple[str, ...]]:
    """The root of a path, and the pattern below it; an empty one if there is nothing to match."""
    if Path(path).is_dir():
        return path, ("**", "*")
    if Path(path).exists():
        return str(Path(path).parent), (_literal(Path(path).name),)
    steps = path.split("/")
    first = next((at for at, step in enumerate(steps) if re.search(r"[*?[]", step)), len(steps))
    return "/".join(steps[:first]) or "/", tuple(step for step in steps[first:] if step)
