"""Lists the files of a path (a folder, a file or a glob) in a fixed order, and opens them below the root."""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..catalog.models import Failure
from ..catalog.status import Reason
from ..core.errors import ConfigError

_FAILURES = {
    errno.ENOENT: (Reason.MISSING, "gone since it was discovered"),
    errno.ENOTDIR: (Reason.MISSING, "gone since it was discovered"),
    errno.ELOOP: (Reason.LINK, "became a link out of the source"),
}


class Unreadable(NamedTuple):
    """An entry of a folder that cannot be read as a file."""

    name: str
    reason: Reason
    detail: str


@dataclass(slots=True)
class Folder:
    """One folder of a walk: `path` below the root ('' is the root), its file names, all sorted.

    Names come from the operating system: bytes that are not UTF-8 are surrogate escapes. `files` match
    the path, `others` do not (a glob excludes them).
    """

    path: str
    files: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)

    def join(self, name: str) -> str:
        """Return the path below the root of a name in this folder."""
        return f"{self.path}/{name}" if self.path else name


WORKSPACE_MARK = "catalog.duckdb"
"""A folder below a source with this file is a workspace, such as that of a trial: it holds no items."""


class Tree:
    """The files of a path: a folder with all subfolders, one file, or a glob with `*`, `?`, `[..]`, `**`.

    Names are relative to `root`: the folder itself, the folder of the file, or the last folder before
    the first wildcard. An existing path is used literally, even with wildcards in its name.
    """

    def __init__(self, path: str, *, hidden: bool = False, without: Path | None = None) -> None:
        """Parse `path`; ConfigError if the path does not exist.

        Names that start with a dot are skipped unless `hidden`. The folder `without` is always skipped
        (the workspace may lie inside the source).
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
        """Walk depth first: the files of a folder, then its subfolders, each sorted by name.

        Only the names of one folder and of its parents' subfolders are in memory at a time. Links to
        files below the root are followed; all other links are unreadable.
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
        """Add the entries of `folder` and return its subfolders that can contain matches."""
        below = []
        try:
            entries = os.scandir(f"{self.root}/{folder.path}")
        except FileNotFoundError:
            return []  # the folder was deleted after its parent was listed
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
        """Add an entry that is neither a plain file nor a folder: follow a link or record a reason."""
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
        """Return the positions in the pattern after a folder `name`."""
        after = set()
        for state in states:
            test = self._tests[state]
            if test is None:
                after.add(state)
            elif state + 1 < len(self._tests) and test(name):
                after.add(state + 1)
        return after

    def _closure(self, states: set[int]) -> frozenset[int]:
        """Add the positions after each `**` that matches no folder."""
        for state in sorted(states):
            while self._tests[state] is None and state + 1 < len(self._tests):
                state += 1
                states.add(state)
        return frozenset(states)

    def _accepts(self, states: frozenset[int], name: str) -> bool:
        """Return whether a file `name` completes the pattern; a final `**` matches every file."""
        last = len(self._tests) - 1
        if last not in states:
            return False
        test = self._tests[last]
        return test is None or bool(test(name))


def root_of(path: str) -> str:
    """Return the root of the names in `path`; the path need not exist."""
    return os.path.realpath(_split(path)[0])


def inside(root: str, path: str) -> str | None:
    """Return the real path of `path` if it exists below `root` (a real path), else None."""
    try:
        real = os.path.realpath(path, strict=True)
    except OSError:
        return None
    return real if real.startswith(f"{root.rstrip('/')}/") else None


def open_below(root: str, path: str) -> int:
    """Open the file `path` below `root` (a real path) for reading; OSError on failure.

    A link to a file below the root is followed. Any other link, also in place of a folder, raises ELOOP.
    """
    # Without NONBLOCK, opening a pipe in place of a file would wait for a writer.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
    folder, _, name = path.rpartition("/")
    handle = _open_folder(root, folder)
    try:
        return os.open(name, flags, dir_fd=handle)
    except OSError as error:
        real = inside(root, f"{root}/{path}") if error.errno == errno.ELOOP else None
        if real is None:
            raise
        return os.open(real, flags)
    finally:
        os.close(handle)


def _open_folder(root: str, path: str) -> int:
    """Open a folder below the root step by step, so that no step is a link; ELOOP for a link."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    handle = os.open(root, flags)
    for step in path.split("/") if path else ():
        try:
            below = os.open(step, flags | os.O_NOFOLLOW, dir_fd=handle)
        except OSError as error:
            if error.errno == errno.ENOTDIR and stat.S_ISLNK(
                os.stat(step, dir_fd=handle, follow_symlinks=False).st_mode
            ):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), step) from error
            raise
        finally:
            os.close(handle)
        handle = below
    return handle


def file_revision(found: os.stat_result) -> str:
    """Return the revision of a file, from its size and modification time."""
    return f"{found.st_size:x}-{found.st_mtime_ns:x}"


def failure_from_os_error(error: OSError | MemoryError) -> Failure:
    """Return the failure of an item whose file could not be opened or read."""
    if isinstance(error, MemoryError):
        return Failure(Reason.OUT_OF_MEMORY, "reading it needs more memory than there is")
    reason, detail = _FAILURES.get(error.errno or 0, (Reason.UNREADABLE, error.strerror or str(error)))
    return Failure(reason, detail)


def _matcher(step: str) -> Callable[[str], object]:
    if step == "*":
        return bool  # matches every name, since names are never empty
    return re.compile(fnmatch.translate(step)).match


def _literal(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _split(path: str) -> tuple[str, tuple[str, ...]]:
    """Return the root of a path and the pattern below the root; the pattern is empty without a match."""
    if Path(path).is_dir():
        return path, ("**", "*")
    if Path(path).exists():
        return str(Path(path).parent), (_literal(Path(path).name),)
    steps = path.split("/")
    first = next((at for at, step in enumerate(steps) if re.search(r"[*?[]", step)), len(steps))
    return "/".join(steps[:first]) or "/", tuple(step for step in steps[first:] if step)
