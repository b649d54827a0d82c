"""Access to the files of a dataset: a folder on disk, or the hub (see hub.py)."""

from __future__ import annotations

import hashlib
import lzma
import os
import posixpath
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa

from ...catalog.status import Reason
from ...core.errors import DerlemError
from ..tree import file_revision

HASHED_BYTES = 64 * 2**20
"""Maximum size of a data file that is hashed completely."""

EDGE_BYTES = 2**20
"""Bytes hashed at each end of a larger file; they include the footer of a Parquet or Arrow file."""

_DAMAGE = (pa.ArrowException, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)


class FileTrouble(DerlemError):
    """A file of a dataset cannot be read; `reason` and `detail` are stored with the item."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


class Files(ABC):
    """The files of one dataset. Paths are relative to its root, with slashes."""

    commit = ""
    """The revision on the hub; empty on disk."""
    whole = True
    """Whether one worker should read a file, because the file is fetched as a whole."""

    @abstractmethod
    def uri(self, path: str) -> str:
        """Return the uri of a file in items, which changes when a change of its content is known."""

    @abstractmethod
    def revision(self, path: str) -> str:
        """Return the revision of a data file's content; FileTrouble if the file is missing."""

    @abstractmethod
    def image_revision(self, path: str) -> str | None:
        """Return the revision of an image file; None if the file is missing."""

    @abstractmethod
    def path(self, uri: str) -> str:
        """Return the path of a `uri`."""

    @abstractmethod
    def fetch(self, path: str) -> Path:
        """Return the path of the whole file on disk; FileTrouble if the file cannot be read."""

    @abstractmethod
    def open(self, path: str, *, parts: bool) -> Path | IO[bytes]:
        """Open the file to read `parts` of it or most of it; FileTrouble if the file cannot be read.

        Returns a path if the file is on disk, else a seekable stream of ranges, which the caller closes.
        """

    @contextmanager
    def guarded(self, path: str) -> Iterator[None]:
        """Convert exceptions of the file at `path` to FileTrouble."""
        try:
            yield
        except DerlemError:
            raise
        except Exception as error:
            trouble = self.trouble(path, error)
            if trouble is None:
                raise
            raise trouble from error

    def trouble(self, path: str, error: Exception) -> FileTrouble | None:
        """Return the FileTrouble for `error` at `path`; None if the file did not cause the error."""
        if isinstance(error, MemoryError):  # pa.ArrowMemoryError is an ArrowException, too
            return FileTrouble(Reason.OUT_OF_MEMORY, f"{path}: {_first_line(error)}")
        if isinstance(error, _DAMAGE):
            return FileTrouble(Reason.BAD_ARCHIVE, f"{path}: {_first_line(error)}")
        if isinstance(error, OSError):  # Arrow raises it for damage, too, without errno
            reason = Reason.READ_ERROR if error.errno else Reason.BAD_ARCHIVE
            return FileTrouble(reason, f"{path}: {_first_line(error)}")
        return None


class LocalFiles(Files):
    """A folder on disk."""

    whole = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self._revisions: dict[str, tuple[str, str]] = {}
        real = root.resolve()
        self.real_root = str(real)
        # A snapshot in the hub's cache consists of links into the adjacent `blobs`.
        self._fence = real.parents[1] if real.parent.name == "snapshots" else real

    def uri(self, path: str) -> str:
        """The path itself."""
        return path

    def revision(self, path: str) -> str:
        """Return the hash of the content; for a large file its size, time, and a hash of both ends."""
        found = self.fetch(path)
        status = found.stat()
        stamp = file_revision(status)
        if self._revisions.get(path, ("", ""))[0] != stamp:
            self._revisions[path] = stamp, content_revision(found, status.st_size, stamp)
        return self._revisions[path][1]

    def image_revision(self, path: str) -> str | None:
        """The size and time of the file."""
        try:
            return file_revision((self.root / path).stat())
        except (OSError, ValueError):
            return None

    def path(self, uri: str) -> str:
        """The uri itself."""
        return uri

    def fetch(self, path: str) -> Path:
        """Return the file's real path; FileTrouble for a link out of the dataset."""
        try:
            found = (self.root / path).resolve(strict=True)
        except (OSError, ValueError) as error:
            raise FileTrouble(Reason.MISSING, f"{path} does not exist") from error
        if not found.is_relative_to(self._fence):
            raise FileTrouble(Reason.LINK, f"{path} leads out of the dataset")
        if not found.is_file():
            raise FileTrouble(Reason.SPECIAL_FILE, f"{path} is not a file")
        return found

    def open(self, path: str, *, parts: bool) -> Path | IO[bytes]:
        """As `fetch`."""
        return self.fetch(path)


def content_revision(path: Path, size: int, stamp: str) -> str:
    """Hash a file: its content or, for a large file, its `stamp` (size and time) and both ends."""
    with path.open("rb") as file:
        if size <= HASHED_BYTES:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
        digest = hashlib.sha256(stamp.encode() + file.read(EDGE_BYTES))
        file.seek(-EDGE_BYTES, os.SEEK_END)
        digest.update(file.read())
    return digest.hexdigest()[:16]


def inside(path: str, root: str | None = None) -> str | None:
    """Normalize a path in a row; None if the path may lead out of the dataset.

    An absolute path is accepted below `root`.
    """
    path = path.replace("\\", "/")
    if path.startswith("/"):
        if root is None or not path.startswith(f"{root}/"):
            return None
        path = path.removeprefix(f"{root}/")
    plain = posixpath.normpath(path)
    if "\0" in plain or "://" in path or plain == ".." or plain.startswith(("../", "/")):
        return None
    return plain


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
