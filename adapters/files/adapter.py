"""Adapter for images and documents in folders, with captions in sidecar files."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Iterator

from pydantic import ByteSize, Field

from ...catalog.models import Failure, Item, Payload
from ...catalog.status import Reason
from ...core.config_values import ResolvedPath
from ..base import Adapter, SourceOptions
from ..captions import MAX_SIDECAR, CaptionCount, CaptionOptions, Sidecar, Sidecars, bad_sidecar, read_sidecar
from ..names import escape, unescape
from ..templates import Template
from ..tree import Folder, Tree, failure_from_os_error, file_revision, open_below, root_of

BATCH = 2_000
FIELDS = ("dir", "top", "parent", "name", "stem", "ext")
"""Template fields of a file or member: the folders below the root, the first folder, the last folder, the
name, the name without its extension, the extension (lower case, no dot)."""

log = logging.getLogger("derlem.files")

_KNOWN_FOLDERS = 10_000
_NOTHING = Sidecar({}, {})


class FilesOptions(SourceOptions):
    """Files of a folder or a glob.

    Every file is an item, except sidecars of images; files other than images and PDFs are rejected.
    `{dir}` is relative to the root: the folder, or the last folder before the first wildcard. Links to
    files below the root are followed; other links are rejected, and links to folders are not followed.
    Names that start with a dot and the workspace are skipped.

    Category fields: {dir}, {top} (first folder), {parent} (last folder), {name}, {stem}, {ext}.
    """

    path: ResolvedPath = Field(
        min_length=1,
        description="folder (with all subfolders), file, or glob with *, ?, [..] and ** (any folders)",
    )
    hidden: bool = Field(default=False, description="include names that start with a dot")
    caption: CaptionOptions | None = Field(default=None, description="location of captions; default: none")
    max_bytes: ByteSize = Field(
        default=ByteSize(512 * 2**20), description="larger files are rejected (too_many_bytes)"
    )


class FilesAdapter(Adapter[FilesOptions]):
    """Reads files of folders; the uri is the path below the root, the locator is empty."""

    Options = FilesOptions
    shaping = ("caption",)
    limiting = ("max_bytes",)

    def discover(self, source: FilesOptions) -> Iterator[list[Item]]:
        """List the files, folder by folder, sorted, without opening them."""
        template = Template(source.category, FIELDS)
        tree = Tree(source.path, hidden=source.hidden, without=self.context.workspace.root)
        captions = CaptionCount(source.name, "a sidecar")
        batch: list[Item] = []
        for folder in tree.folders():
            batch += self._items(source, tree.root, folder, template)
            while len(batch) >= BATCH:
                captions.add(batch[:BATCH])
                yield batch[:BATCH]
                del batch[:BATCH]
        if batch:
            captions.add(batch)
            yield batch
        if source.caption:
            captions.warn(log)

    def read(self, source: FilesOptions, items: Iterable[Item]) -> Iterator[tuple[str, Payload | Failure]]:
        """Read each file and its sidecar, in the order of `items`."""
        root = root_of(source.path)
        for item in items:
            try:
                data, revision = _read(root, unescape(item.uri), source.max_bytes)
            except (OSError, MemoryError) as error:
                yield item.item_id, failure_from_os_error(error)
                continue
            if isinstance(data, Failure):
                yield item.item_id, data
                continue
            content = _NOTHING
            if source.caption and (sidecar := item.locator_state.get("sidecar")):
                content, read = _read_caption(root, unescape(item.uri), unescape(sidecar), source.caption)
                revision += f"+{read}"
            yield item.item_id, Payload(data, content.updates, content.meta, revision)

    @staticmethod
    def _items(source: FilesOptions, root: str, folder: Folder, template: Template) -> Iterator[Item]:
        sidecars = (
            Sidecars(source.caption.sidecar, (*folder.others, *folder.files)) if source.caption else None
        )
        below = CategoryOf(template)
        for name in folder.files:
            locator_state = {}
            revision = _revision(root, folder.join(name))
            if sidecars is not None:
                if sidecars.taken(name):
                    continue
                if found := sidecars.of(name):
                    locator_state = {"sidecar": escape(found)}
                    revision += f"+{_revision(root, folder.join(found))}"
            yield Item(
                source=source.name,
                uri=escape(folder.join(name)),
                category=below(folder.path, name),
                locator_state=locator_state,
                revision=revision,
            )
        for entry in folder.unreadable:
            yield Item(
                source=source.name,
                uri=escape(folder.join(entry.name)),
                category=below(folder.path, entry.name),
                meta={"detail": entry.detail},
                reason=entry.reason,
            )


class CategoryOf:
    """Computes categories of files, once per folder if the template does not use the name."""

    def __init__(self, template: Template, **more: str) -> None:
        """`more` are additional fields, equal for all files."""
        self._template = template
        self._more = more
        self._by_folder = template.fields.isdisjoint(("name", "stem", "ext"))
        self._known: dict[str, str] = {}

    def __call__(self, folder: str, name: str) -> str:
        """Return the category of the file `name` in `folder`."""
        known = self._known.get(folder) if self._by_folder else None
        if known is not None:
            return known
        folders = folder.split("/")
        stem, dot, extension = name.rpartition(".")
        fields = {
            "dir": folder,
            "top": folders[0],
            "parent": folders[-1],
            "name": name,
            "stem": stem if dot and stem else name,
            "ext": extension.lower() if dot and stem else "",
            **self._more,
        }
        category = self._template.render({key: escape(fields[key]) for key in self._template.fields})
        if self._by_folder:
            if len(self._known) >= _KNOWN_FOLDERS:
                self._known.clear()
            self._known[folder] = category
        return category


def _revision(root: str, path: str) -> str:
    """Return the revision of a file below the root; '' if the file no longer exists."""
    try:
        return file_revision(os.stat(f"{root}/{path}"))  # noqa: PTH116 - half the cost of a Path's
    except OSError:
        return ""


def _read(root: str, path: str, limit: int) -> tuple[bytes | Failure, str]:
    """Return the content of a file below the root, and its revision; OSError on failure."""
    handle = open_below(root, path)
    try:
        found = os.fstat(handle)
        revision = file_revision(found)
        if not stat.S_ISREG(found.st_mode):
            return Failure(Reason.SPECIAL_FILE, "no longer a file"), revision
        if found.st_size > limit:
            return Failure(Reason.TOO_MANY_BYTES, f"{found.st_size} bytes, of at most {limit}"), revision
        pieces = []
        left = found.st_size  # bytes appended during the read are not read
        while left and (piece := os.read(handle, left)):
            pieces.append(piece)
            left -= len(piece)
        if file_revision(os.fstat(handle)) != revision:
            return Failure(Reason.CHANGED, "written while it was read"), revision
    finally:
        os.close(handle)
    if not pieces:
        return Failure(Reason.EMPTY, "an empty file"), revision
    return pieces[0] if len(pieces) == 1 else b"".join(pieces), revision


def _read_caption(root: str, path: str, name: str, options: CaptionOptions) -> tuple[Sidecar, str]:
    """Return a sidecar's content, and its revision; '' if the sidecar cannot be read."""
    folder = path.rpartition("/")[0]
    try:
        data, revision = _read(root, f"{folder}/{name}" if folder else name, MAX_SIDECAR)
    except OSError as error:
        return bad_sidecar(f"cannot be read: {error.strerror}"), ""
    if isinstance(data, Failure):
        return _NOTHING if data.reason is Reason.EMPTY else bad_sidecar(data.detail), revision
    return read_sidecar(data, options), revision
