"""Finds the images that records name: in folders and archives, looked up in the declared order."""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from ...catalog.models import Failure, Payload
from ...catalog.status import Reason
from ...core.errors import ConfigError
from ..archive.containers import Container, open_container
from ..archive.members import ArchiveError, ArchiveLimits, Member, Place, validated
from ..names import escape, unescape
from ..tree import failure_from_os_error, file_revision, open_below

MAX_BYTES = 512 * 2**20
"""Maximum bytes of one image; larger images are not read."""

_FOLDERS = 64
"""Folders whose names are in memory at a time, for names that differ in case or Unicode form."""

State = dict[str, Any]
"""What reads an image again: the number of its place, and its path or member."""


class NoSuchImage(Exception):
    """An image that no place holds, or none that may be read; `reason` is the reason code of its record."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


class _ImagePlace(Protocol):
    def find(self, names: Sequence[str]) -> tuple[State, str] | None:
        """Return the state and revision of the first of `names` (spellings of one name) that is here.

        Raises NoSuchImage for an image that is here and must not be read.
        """

    def read(self, state: Mapping[str, Any]) -> Payload | Failure:
        """Return the bytes of an image."""

    def close(self) -> None:
        """Close what is open."""


class ImagePlaces:
    """The places of a source's images, in the order in which names are looked up."""

    def __init__(self, paths: Sequence[str], limits: ArchiveLimits) -> None:
        """Raises ConfigError for a path where nothing is, or a file that is not an archive."""
        self._paths = paths
        self._places: list[_ImagePlace] = [_open(path, limits) for path in paths]
        self.shadowed = 0
        """Images that a later place holds, too."""

    def find(self, name: str) -> tuple[State, str]:
        """Return the state and revision of the image `name`; the first place that holds it is used.

        Raises NoSuchImage.
        """
        names = _spellings(self._relative(name))
        found = None
        for number, place in enumerate(self._places):
            here = place.find(names)
            if here is None:
                continue
            if found is not None:
                self.shadowed += 1
                break
            found = {"place": number, **here[0]}, here[1]
        if found is None:
            where = ", ".join(Path(path).name for path in self._paths)
            raise NoSuchImage(Reason.MISSING, f"{name[:200]} is not in {where}")
        return found

    def read(self, state: Mapping[str, Any]) -> Payload | Failure:
        """Return the bytes of an image."""
        number: int = state["place"]
        if number >= len(self._places):
            return Failure(Reason.CHANGED, "the places of the images changed after the record was listed")
        return self._places[number].read(state)

    def close(self) -> None:
        """Close all archives."""
        for place in self._places:
            place.close()

    def _relative(self, name: str) -> str:
        """Return a name below a place. Raises NoSuchImage for a URL, and for a path out of all places."""
        if name.startswith(("http://", "https://")):
            raise NoSuchImage(Reason.BAD_ROW, "the image is a URL; the `urls` adapter fetches such lists")
        path = name.replace("\\", "/")
        for root in self._paths:
            if path.startswith(f"{root}/"):
                path = path.removeprefix(f"{root}/")
                break
        path = posixpath.normpath(path)
        if path.startswith(("/", "../")) or path in ("..", ".") or "\0" in path:
            raise NoSuchImage(Reason.UNSAFE_PATH, f"{name[:200]} leads out of the places of images")
        return path


def _open(path: str, limits: ArchiveLimits) -> _ImagePlace:
    if Path(path).is_dir():
        return _Folder(path)
    if not Path(path).exists():
        raise ConfigError(f"there is nothing at {path}", key="images")
    return _Archive(path, limits)


def _spellings(name: str) -> list[str]:
    """Return a name as written, percent-decoded, and in both Unicode forms."""
    plain = [name, unquote(name)]
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD") for text in plain]
    return [text for text in dict.fromkeys([*plain, *forms]) if not text.startswith(("/", "../"))]


def _folded(name: str) -> str:
    """Return what spellings of one name have in common: case and Unicode form do not matter."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class _Folder:
    """Files below a folder."""

    def __init__(self, root: str) -> None:
        self._root = os.path.realpath(root)
        self._names = lru_cache(_FOLDERS)(self._list)

    def find(self, names: Sequence[str]) -> tuple[State, str] | None:
        for name in (*names, *self._alike(names[-1])):
            try:
                found = Path(self._root, name).stat()
            except (OSError, ValueError):
                continue
            if not stat.S_ISREG(found.st_mode):
                continue
            revision = file_revision(found)
            return {"path": escape(name), "revision": revision}, revision
        return None

    def _alike(self, name: str) -> Iterator[str]:
        """Yield the one file whose path differs from `name` in case or Unicode form only, step by step."""
        path = ""
        for step in name.split("/"):
            here = self._names(path).get(_folded(step), [])
            if len(here) != 1:
                return
            path = f"{path}/{here[0]}" if path else here[0]
        yield path

    def _list(self, folder: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        try:
            for path in Path(self._root, folder).iterdir():
                found.setdefault(_folded(path.name), []).append(path.name)
        except OSError:
            return {}
        return found

    def read(self, state: Mapping[str, Any]) -> Payload | Failure:
        """Return the bytes of a file; links out of the folder are not followed."""
        try:
            handle = open_below(self._root, unescape(state["path"]))
            with os.fdopen(handle, "rb") as file:
                found = os.fstat(handle)
                if not stat.S_ISREG(found.st_mode):
                    return Failure(Reason.SPECIAL_FILE, "not a file")
                if file_revision(found) != state["revision"]:
                    return Failure(Reason.CHANGED, f"{state['path']} changed after it was listed")
                if found.st_size > MAX_BYTES:
                    return Failure(Reason.TOO_MANY_BYTES, f"more than {MAX_BYTES} bytes")
                return Payload(file.read())
        except (OSError, MemoryError) as error:
            return failure_from_os_error(error)

    def close(self) -> None:
        """Nothing is open."""


class _Archive:
    """Members of a zip or an uncompressed tar, found by a hash of their names: some 60 bytes for each."""

    def __init__(self, path: str, limits: ArchiveLimits) -> None:
        self._path = path
        self._limits = limits
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._container: Container = open_container(self._handle, limits)
        except ArchiveError as error:
            os.close(self._handle)
            raise ConfigError(f"{path}: {error.detail}", key="images") from error
        if self._container.one_pass:
            os.close(self._handle)
            message = f"{path} is a compressed tar, which cannot be read by name; use a plain tar or a zip"
            raise ConfigError(message, key="images")
        self._revision = file_revision(os.fstat(self._handle))
        self._index: _Index | None = None

    def find(self, names: Sequence[str]) -> tuple[State, str] | None:
        if self._index is None:
            self._index = _Index(self._members())
        found = self._index.find(names)
        if found is None:
            return None
        member, place = found
        if place is None:
            raise NoSuchImage(Reason.BAD_MEMBER, f"{member} in {Path(self._path).name} cannot be read")
        return {"member": list(place)}, f"{self._revision}:{place.at:x}:{place.check:08x}"

    def _members(self) -> Iterator[Member]:
        try:
            yield from validated(self._container.members(), self._limits)
        except ArchiveError as error:
            raise ConfigError(f"{self._path}: {error.detail}", key="images") from error

    def read(self, state: Mapping[str, Any]) -> Payload | Failure:
        """Return the bytes of a member, whose checksum shows whether the archive changed."""
        try:
            [data] = self._container.read([Place(*state["member"])])
        except (OSError, MemoryError) as error:
            return failure_from_os_error(error)
        return data if isinstance(data, Failure) else Payload(data)

    def close(self) -> None:
        """Close the archive."""
        os.close(self._handle)


class _Index:
    """The places of members by name, in sorted arrays."""

    def __init__(self, members: Iterator[Member]) -> None:
        names = bytearray()
        ends, hashes, places = [0], [], []
        for member in members:
            if member.reason is Reason.DUPLICATE_NAME:
                continue
            name = unescape(member.name).encode("utf-8", "surrogateescape")
            names += name
            ends.append(len(names))
            hashes.append(_hash(unescape(member.name)))
            places.append(member.place if member.reason is None else _UNREADABLE)
        self._names, self._ends = bytes(names), np.array(ends, np.int64)
        keys = np.array(hashes, np.uint64)
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        self._places: npt.NDArray[np.int64] = np.array(places, np.int64).reshape(-1, len(Place._fields))

    def find(self, names: Sequence[str]) -> tuple[str, Place | None] | None:
        """Return the name and place of a member: one of `names`, else the only one that is alike."""
        alike: dict[str, int] = {}
        for name in names:
            key = np.uint64(_hash(name))
            start = int(np.searchsorted(self._keys, key))
            while start < len(self._keys) and self._keys[start] == key:
                number = int(self._order[start])
                alike[self._name(number)] = number
                start += 1
        chosen = next((name for name in names if name in alike), None)
        if chosen is None:
            wanted = {_folded(name) for name in names}
            alike = {name: number for name, number in alike.items() if _folded(name) in wanted}
            if len(alike) != 1:
                return None
            chosen = next(iter(alike))
        place = Place(*self._places[alike[chosen]].tolist())
        return chosen, None if place == _UNREADABLE else place

    def _name(self, number: int) -> str:
        start, end = self._ends[number : number + 2].tolist()
        return self._names[start:end].decode("utf-8", "surrogateescape")


_UNREADABLE = Place(-1, 0, 0)
"""The place of a member that must not be read."""


def _hash(name: str) -> int:
    data = _folded(name).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
