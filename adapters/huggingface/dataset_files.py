"""Where the files of a dataset lie: a folder on disk, or the hub (see `hub`)."""

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
"""Largest data file that is hashed as a whole."""

EDGE_BYTES = 2**20
"""Bytes at each end of a larger one that are hashed: the footer of a Parquet or Arrow file is among them."""

_DAMAGE = (pa.ArrowException, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)


class FileTrouble(DerlemError):
    """A file of a dataset cannot be had: `reason` and `detail` as an item records them."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


class Files(ABC):
    """The files of one dataset. Paths are relative to its root, with slashes."""

    commit = ""
    """The revision on the hub; empty on disk."""
    whole = True
    """Whether a file is best read by one worker, because it is fetched in one piece."""

    @abstractmethod
    def uri(self, path: str) -> str:
        """How items name a file. It changes when the file's content is known to have changed."""

    @abstractmethod
    def revision(self, path: str) -> str:
        """What changes whenever the content of a data file does; FileTrouble if there is no file."""

    @abstractmethod
    def image_revision(self, path: str) -> str | None:
        """What changes when an image in a file of its own does; None if there is no file."""

    @abstractmethod
    def path(self, uri: str) -> str:
        """The path that `uri` names."""

    @abstractmethod
    def fetch(self, path: str) -> Path:
        """The whole file on disk; FileTrouble if it cannot be had."""

    @abstractmethod
    def open(self, path: str, *, parts: bool) -> Path | IO[bytes]:
        """The file for reading, `parts` of it only or mostly all; FileTrouble if it cannot be had.

        A path where it lies on disk, else a seekable stream of ranges, which the caller closes.
        """

    @contextmanager
    def guarded(self, path: str) -> Iterator[None]:
        """Turn whatever goes wrong with the file at `path` into FileTrouble."""
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
        """What `error` means for the file at `path`; None if it does not come from the file."""
        if isinstance(error, MemoryError):  # Arrow's is an ArrowException, too
            return FileTrouble(Reason.OUT_OF_MEMORY, f"{path}: {_first_line(error)}")
        if isinstance(error, _DAMAGE):
            return FileTrouble(Reason.BAD_ARCHIVE, f"{path}: {_first_line(error)}")
        if isinstance(error, OSError):  # Arrow raises it without a number for damage, too
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
        # A snapshot in the hub's cache consists of links into the `blobs` beside it.
        self._fence = real.parents[1] if real.parent.name == "snapshots" else real

    def uri(self, path: str) -> str:
        """The path itself."""
        return path

    def revision(self, path: str) -> str:
        """The hash of the content; of a large file its size, time, and a hash of its start and end."""
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
        """The file's real path; refused if a link leads out of the dataset."""
        try:
            found = (self.root / path).resolve(strict=True)
        except (OSError, ValueError) as error:
            raise FileTrouble(Reason.MISSING, f"{path} is not there") from error
        if not found.is_relative_to(self._fence):
            raise FileTrouble(Reason.LINK, f"{path} leads out of the dataset")
        if not found.is_file():
            raise FileTrouble(Reason.SPECIAL_FILE, f"{path} is no file")
        return found

    def open(self, path: str, *, parts: bool) -> Path | IO[bytes]:
        """As `fetch`."""
        return self.fetch(path)


def content_revision(path: Path, size: int, stamp: str) -> str:
    """A hash of a file: of all of it, or if it is large of its `stamp` (size and time), start and end."""
    with path.open("rb") as file:
        if size <= HASHED_BYTES:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
        digest = hashlib.sha256(stamp.encode() + file.read(EDGE_BYTES))
        file.seek(-EDGE_BYTES, os.SEEK_END)
        digest.update(file.read())
    return digest.hexdigest()[:16]


def inside(path: str, root: str | None = None) -> str | None:
    """A path that a row names, made plain; None if it may lead out of the dataset.

    An absolute path is taken if it lies below `root`.
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
