"""Reads the images of items; each file and each group of rows is opened once."""

from __future__ import annotations

import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any, Protocol

from ...catalog.models import Failure, Item, Payload
from ...catalog.status import Reason
from ..archive.members import Place
from ..records import joined
from .columnar import ColumnarFile
from .dataset_files import Files, FileTrouble, LocalFiles
from .dataset_options import HuggingfaceOptions
from .hub import HubFiles
from .image_columns import at
from .listing import open_columnar
from .row_places import candidates
from .tars import TarFile

MAX_BYTES = 512 * 2**20
"""Maximum bytes of one image; larger images are not read."""

FETCHES = 8
"""Maximum concurrent fetches of image files from the hub."""

Result = tuple[str, Payload | Failure]


class _Closable(Protocol):
    def close(self) -> None: ...


class Reader:
    """Reads items of one source in order; keeps the last file open."""

    def __init__(self, source: HuggingfaceOptions) -> None:
        self._source = source
        self._files: dict[str, Files] = {}
        self._open: tuple[tuple[str, str], _Closable] | None = None

    def read(self, items: Iterable[Item]) -> Iterator[Result]:
        """Yield the bytes of each item, or its failure."""
        try:
            for (form, commit, uri, group), run in groupby(items, _key):
                files = self._files_at(commit)
                if form == "paths":
                    yield from self._paths(files, run)
                elif form in ("parquet", "arrow"):
                    yield from self._rows(files, form, files.path(uri), group, list(run))
                elif form == "webdataset":
                    yield from self._each(files, files.path(uri), run, TarFile, _member_of_tar)
                elif form == "zip":
                    yield from self._each(files, files.path(uri), run, zipfile.ZipFile, _member_of_zip)
                else:
                    for item in run:
                        yield item.item_id, Failure(Reason.MISSING, "the item has no locator state")
        finally:
            self._close()

    def _rows(self, files: Files, form: str, path: str, group: int, items: list[Item]) -> Iterator[Result]:
        waiting: dict[int, list[Item]] = {}
        for item in items:
            waiting.setdefault(int(item.locator_state["place"]), []).append(item)
        parts = {item.item_id: _parts(item) for item in items}
        columns = sorted({str(part["column"][0]) for part in chain(*parts.values()) if "column" in part})
        places = sorted(waiting)
        failure = Failure(Reason.MISSING, f"{path} no longer has this row")
        try:
            with files.guarded(path):
                if files.revision(path) != items[0].revision:
                    raise FileTrouble(Reason.CHANGED, f"{path} is not the file that was listed")
                file: ColumnarFile = self._opened(
                    files, path, lambda: open_columnar(form, files, path, parts=self._source.streaming)
                )
                for place, row in file.chosen(group, places, columns):
                    for item in waiting.pop(place):
                        own = parts[item.item_id]
                        images = [self._image(files, path, row, part) for part in own]
                        there = [image for image in images if image is not None]
                        empty = Failure(Reason.NO_VALUE, "the cell is empty")
                        yield item.item_id, joined(there or [empty], max(1, len(there)))
        except FileTrouble as trouble:
            failure = Failure(trouble.reason, trouble.detail)
            self._close()
        for item in (item for left in waiting.values() for item in left):
            yield item.item_id, failure

    def _image(
        self, files: Files, path: str, row: Mapping[str, Any], part: Mapping[str, Any]
    ) -> Payload | Failure | None:
        """Return an image of a row: bytes, bytes in a struct, or the file at a path.

        An empty column gives None, an empty element of a list is a failure.
        """
        if "paths" in part:
            return _file(files, part["paths"])
        value: Any = at(row, part["column"], part.get("index", ()))
        named: Any = None
        if isinstance(value, dict):
            value, named = value.get("bytes"), value.get("path")
        if isinstance(value, bytes):
            return Payload(value)
        if not named:
            return Failure(Reason.NO_VALUE, "the cell is empty") if "index" in part else None
        paths = candidates(str(named), path.rpartition("/")[0], files)
        if not paths:
            return Failure(Reason.UNSAFE_PATH, f"{str(named)[:200]} leads out of the dataset")
        return _file(files, paths)

    def _each(
        self,
        files: Files,
        path: str,
        items: Iterable[Item],
        opener: Callable[[Any], Any],
        member: Callable[[Any, Item, Mapping[str, Any]], Payload | Failure],
    ) -> Iterator[Result]:
        """Read items of one archive, one after the other."""
        for item in items:
            try:
                with files.guarded(path):
                    if files.revision(path) != item.revision:
                        raise FileTrouble(Reason.CHANGED, f"{path} is not the file that was listed")
                    archive = self._opened(files, path, lambda: opener(files.open(path, parts=False)))
                    parts = _parts(item)
                    result = joined((member(archive, item, part) for part in parts), len(parts))
            except FileTrouble as trouble:
                result = Failure(trouble.reason, trouble.detail)
                self._close()
            yield item.item_id, result

    def _paths(self, files: Files, items: Iterable[Item]) -> Iterator[Result]:
        """Read images in separate files; files on the hub are fetched concurrently."""
        if isinstance(files, LocalFiles):
            for item in items:
                yield item.item_id, _record(files, item)
            return
        stream = iter(items)
        with ThreadPoolExecutor(FETCHES) as pool:
            ahead: deque[tuple[str, Future[Payload | Failure]]] = deque()
            while True:
                for item in islice(stream, 2 * FETCHES - len(ahead)):
                    ahead.append((item.item_id, pool.submit(_record, files, item)))
                if not ahead:
                    return
                name, result = ahead.popleft()
                yield name, result.result()

    def _files_at(self, commit: str) -> Files:
        if commit not in self._files:
            source = self._source
            if commit and source.hub_id:
                self._files[commit] = HubFiles(source.hub_id, commit, streaming=source.streaming)
            else:
                path = Path(source.dataset)
                self._files[commit] = LocalFiles(path if path.is_dir() else path.parent)
        return self._files[commit]

    def _opened(self, files: Files, path: str, opener: Callable[[], Any]) -> Any:
        key = (files.commit, path)
        if self._open is None or self._open[0] != key:
            self._close()
            self._open = (key, opener())
        return self._open[1]

    def _close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


def _key(item: Item) -> tuple[str, str, str, int]:
    locator_state = item.locator_state
    commit = str(locator_state.get("commit", ""))
    if "paths" in locator_state and "format" not in locator_state:
        return "paths", commit, "", 0
    form = "zip" if "zip" in locator_state else str(locator_state.get("format", ""))
    return form, commit, item.uri, int(locator_state.get("group", 0))


def _parts(item: Item) -> list[Mapping[str, Any]]:
    """The states of a record's images."""
    return [item.locator_state, *item.locator_state.get("more", ())]


def _record(files: Files, item: Item) -> Payload | Failure:
    """Return the images of a record whose images are separate files."""
    parts = _parts(item)
    return joined((_file(files, part["paths"]) for part in parts), len(parts))


def _file(files: Files, paths: Iterable[str]) -> Payload | Failure:
    """Return the bytes of the first existing file."""
    failure = Failure(Reason.MISSING, "no file is named")
    for path in paths:
        try:
            with files.guarded(path):
                found = files.fetch(path)
                if found.stat().st_size > MAX_BYTES:
                    return Failure(Reason.TOO_MANY_BYTES, f"{path} has more than {MAX_BYTES} bytes")
                return Payload(found.read_bytes())
        except FileTrouble as trouble:
            failure = Failure(trouble.reason, trouble.detail)
            if trouble.reason is not Reason.MISSING:
                break
    return failure


def _member_of_tar(tar: TarFile, item: Item, part: Mapping[str, Any]) -> Payload | Failure:
    place = Place(*part["at"])
    if place.size > MAX_BYTES:
        return Failure(Reason.TOO_MANY_BYTES, f"the member has {place.size} bytes")
    data = tar.read(place)
    return data if isinstance(data, Failure) else Payload(data)


def _member_of_zip(archive: zipfile.ZipFile, item: Item, part: Mapping[str, Any]) -> Payload | Failure:
    try:
        member = archive.getinfo(part["member"])
    except KeyError:
        return Failure(Reason.MISSING, f"{item.uri} no longer has {part['member']}")
    if member.flag_bits & 1:
        return Failure(Reason.ENCRYPTED, "the member is encrypted")
    if member.file_size > MAX_BYTES:
        return Failure(Reason.TOO_MANY_BYTES, f"the member has {member.file_size} bytes")
    with archive.open(member) as content:
        return Payload(content.read(MAX_BYTES))
