"""Adapter for images and documents in archives: zips, tars, compressed tars, WebDataset shards."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterable, Iterator
from math import inf
from typing import Any, Literal

from pydantic import Field, field_validator

from ...catalog.models import Failure, Item, Payload
from ...catalog.status import Reason
from ...core.config_values import ResolvedPath
from ...core.sniff import ARCHIVES, HEAD, media_type
from ..base import Adapter, Partitioning, SourceOptions
from ..captions import (
    MAX_SIDECAR,
    CaptionCount,
    CaptionOptions,
    Sidecar,
    bad_sidecar,
    decode,
    known_encoding,
    read_sidecar,
)
from ..files.adapter import FIELDS, CategoryOf
from ..names import escape, unescape
from ..templates import Template
from ..tree import Tree, failure_from_os_error, file_revision, open_below, root_of
from .containers import Container, PackedTar, open_container
from .members import ArchiveError, ArchiveLimits, Member, Place, validated
from .samples import Described, alone, beside, grouped, keeping
from .webdataset import CLASSES, OBJECTS, SIDECARS, PairingCounts, looks_paired

BATCH = 2_000
_PORTION_ITEMS = 64
_PORTION_BYTES = 2**20
_MOST_KEPT = 2**28
"""Maximum bytes of sidecars in memory while a compressed tar is listed, unless grouped by key."""

_IMAGE_STARTS = (b"\xff\xd8", b"\x89P")
"""First bytes of most members; these members are not archives and skip the check of their media type."""

_TEXT = CaptionOptions(sidecar=".txt")
_JSON = CaptionOptions(sidecar=".json")

_RANK = {**dict.fromkeys(CLASSES, 0), **dict.fromkeys(OBJECTS, 1)}
"""The order in which sidecars are applied; later sidecars replace the columns of earlier sidecars."""

log = logging.getLogger("derlem.archive")


class ArchiveOptions(SourceOptions):
    """Zips, tars, and tars compressed with gzip, bzip2, xz or zstd, distinguished by their bytes.

    Every member is an item, except directories and sidecars of images. Unsafe and unreadable members are
    rejected with a reason: unsafe names, links, devices, encrypted, damaged and repeated members (the
    first one is used), nested archives, bombs. A damaged or truncated archive is a rejected item
    (bad_archive) in addition to its members before the damage. Members are never unpacked to disk.

    Category fields: the fields of `files` for the member's path in its archive, {archive} (the archive's
    name up to its first dot) and {archive_dir} (the folders of the archive, from the root of `path`).
    """

    path: ResolvedPath = Field(
        min_length=1, description="archive, folder of archives (with subfolders), or glob, as for files"
    )
    caption: CaptionOptions | None = Field(
        default=None, description="location of captions; not needed for WebDataset samples"
    )
    webdataset: bool | Literal["auto"] = Field(
        default="auto",
        description="whether adjacent members that share a key (the name up to its first dot) are one "
        "sample: .txt is its caption, .json holds caption and conversations, .cls goes to meta; `left.txt` "
        "describes only `left.jpg`. "
        "auto: for tars with an adjacent image and text, unless `caption` is set",
    )
    names: str | None = Field(
        default=None,
        description="encoding of names in zips without a declared one, such as cp857; default: UTF-8, or a "
        "guess, with a warning",
    )
    limits: ArchiveLimits = Field(default=ArchiveLimits(), description="maximum sizes and counts")

    @field_validator("names")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        return known_encoding(value)


class ArchiveAdapter(Adapter[ArchiveOptions]):
    """Reads members of archives; uri is the archive's path below the root, locator the member's name."""

    Options = ArchiveOptions
    partitioning = Partitioning.BY_KEY
    shaping = ("caption", "webdataset")

    def discover(self, source: ArchiveOptions) -> Iterator[list[Item]]:
        """List each archive: zips by their directory, tars by their headers, compressed tars by unpacking."""
        template = Template(source.category, (*FIELDS, "archive", "archive_dir"))
        tree = Tree(source.path, without=self.context.workspace.root)
        counts = PairingCounts()
        items = self._items(source, tree, template, counts)
        captions = CaptionCount(source.name, "a sidecar")
        while batch := list(itertools.islice(items, BATCH)):
            captions.add(batch)
            yield batch
        counts.warn(source.name, log)
        if source.caption:
            captions.warn(log)

    def read(self, source: ArchiveOptions, items: Iterable[Item]) -> Iterator[tuple[str, Payload | Failure]]:
        """Read members archive by archive; one pass unpacks a compressed tar for its consecutive items."""
        root = root_of(source.path)
        for uri, group in itertools.groupby(items, key=lambda item: item.uri):
            try:
                handle = open_below(root, unescape(uri))
            except OSError as error:
                yield from _all_failed(group, failure_from_os_error(error))
                continue
            try:
                yield from _read_archive(source, handle, group)
            finally:
                os.close(handle)

    @staticmethod
    def _items(
        source: ArchiveOptions, tree: Tree, template: Template, counts: PairingCounts
    ) -> Iterator[Item]:
        for folder in tree.folders():
            for name in folder.files:
                uri = escape(folder.join(name))
                title = name.partition(".")[0] or name
                category = CategoryOf(template, archive=title, archive_dir=folder.path)
                try:
                    handle = open_below(tree.root, folder.join(name))
                except OSError as error:
                    failure = failure_from_os_error(error)
                    yield _archive_item(source, uri, category, failure.reason, failure.detail)
                    continue
                try:
                    yield from _list_archive(source, handle, uri, category, counts)
                finally:
                    os.close(handle)
            for entry in folder.unreadable:
                uri = escape(folder.join(entry.name))
                yield _archive_item(
                    source,
                    uri,
                    CategoryOf(template, archive=entry.name, archive_dir=folder.path),
                    entry.reason,
                    entry.detail,
                )


def _split(name: str) -> tuple[str, str]:
    folder, _, base = name.rpartition("/")
    return folder, base


def _archive_item(
    source: ArchiveOptions, uri: str, category: CategoryOf, reason: Reason, detail: str
) -> Item:
    """Return the item of a whole archive, with its reason."""
    log.warning("%s: %s: %s", uri, reason, detail)
    return Item(
        source=source.name, uri=uri, category=category("", ""), meta={"detail": detail}, reason=reason
    )


def _list_archive(
    source: ArchiveOptions, handle: int, uri: str, category: CategoryOf, counts: PairingCounts
) -> Iterator[Item]:
    """Yield the items of one archive; the last item is the archive itself if its end cannot be read."""
    empty = True
    try:
        archive = file_revision(os.fstat(handle))
        container = open_container(handle, source.limits, source.names)
        for described in _described(source, container, counts):
            empty = False
            item = _member_item(source, uri, category(*_split(described.member.name)), described, container)
            item.locator_state["archive"] = archive
            item.revision = _revision(archive, described, container)
            yield item
        if empty:
            yield _archive_item(source, uri, category, Reason.EMPTY, "an archive without members")
    except ArchiveError as error:
        yield _archive_item(source, uri, category, error.reason, error.detail)
    except OSError as error:
        failure = failure_from_os_error(error)
        yield _archive_item(source, uri, category, failure.reason, failure.detail)


def _revision(archive: str, described: Described, container: Container) -> str:
    """Return the revision of a member and its sidecars: their checksums in a zip, else the tar's revision."""
    if container.is_tar:
        return archive
    members = (described.member, *(sidecar for _, sidecar in described.sidecars))
    return "+".join(f"{member.place.size:x}-{member.place.check:08x}" for member in members)


def _described(source: ArchiveOptions, container: Container, counts: PairingCounts) -> Iterator[Described]:
    """Yield the archive's members with their sidecars, by the rule of the source's options."""
    members = validated(container.members(), source.limits)
    own = {source.caption.sidecar[1:].lower()} if source.caption else set()
    by_key = source.webdataset is True or (source.webdataset == "auto" and not own and container.is_tar)
    if isinstance(container, PackedTar):  # its sidecars can be read only in this pass
        most = inf if by_key else _MOST_KEPT
        members = keeping(members, container.stream, own | SIDECARS, most)
    if by_key and source.webdataset == "auto":
        by_key, members = looks_paired(members)
        if not by_key:
            return alone(members, counts)
    if by_key:
        return grouped(members, own, counts)
    return beside(members, source.caption.sidecar) if source.caption else alone(members)


def _member_item(
    source: ArchiveOptions, uri: str, category: str, described: Described, container: Container
) -> Item:
    member = described.member
    item = Item(
        source=source.name,
        uri=uri,
        locator=member.name,
        category=category,
        bytes=member.place.size,
        reason=member.reason,
        partition_key=uri if container.one_pass else "",
    )
    if member.reason is not None:
        item.meta = {"detail": member.detail}
        return item
    item.locator_state = {"member": member.place}
    sidecars = [(suffix, sidecar) for suffix, sidecar in described.sidecars if _is_read(source, suffix)]
    if container.one_pass:
        parsed = _parse_sidecars(source, [(suffix, _kept(sidecar)) for suffix, sidecar in sidecars])
        item.caption = parsed.updates.get("caption")
        item.conversations = parsed.updates.get("conversations")
        item.language = parsed.updates.get("language")
        item.meta = parsed.meta
    elif sidecars:
        item.locator_state["sidecars"] = [(suffix, *sidecar.place) for suffix, sidecar in sidecars]
    return item


def _is_read(source: ArchiveOptions, suffix: str) -> bool:
    """Return whether a sidecar with this suffix is read; `caption` excludes other captions."""
    return source.caption is None or suffix in CLASSES or f".{suffix}" == source.caption.sidecar.lower()


def _kept(sidecar: Member) -> bytes | Failure:
    if sidecar.content is None:
        return Failure(Reason.BAD_SIDECAR, f"{sidecar.place.size} bytes exceed the memory for sidecars")
    if len(sidecar.content) < sidecar.place.size:
        return Failure(Reason.TRUNCATED, "the archive ends inside the sidecar")
    return sidecar.content


def _read_archive(
    source: ArchiveOptions, handle: int, items: Iterator[Item]
) -> Iterator[tuple[str, Payload | Failure]]:
    archive = file_revision(os.fstat(handle))
    try:
        container = open_container(handle, source.limits, source.names)
    except ArchiveError as error:
        yield from _all_failed(items, Failure(error.reason, error.detail))
    except OSError as error:
        yield from _all_failed(items, failure_from_os_error(error))
    else:
        while portion := _portion(items):
            if all(item.locator_state.get("archive", archive) == archive for item in portion):
                yield from _read_portion(source, container, portion)
            else:
                changed = Failure(Reason.CHANGED, "the archive changed after it was listed")
                yield from _all_failed(portion, changed)


def _read_portion(
    source: ArchiveOptions, container: Container, portion: list[Item]
) -> Iterator[tuple[str, Payload | Failure]]:
    outcomes = container.read(_places(portion))
    for number, item in enumerate(portion, start=1):
        outcome: Payload | Failure
        try:
            outcome = _outcome(source, item, outcomes)
        except (OSError, MemoryError) as error:
            outcome = failure_from_os_error(error)
            outcomes = container.read(_places(portion[number:]))
        yield item.item_id, outcome


def _portion(items: Iterator[Item]) -> list[Item]:
    """Return the next items to read together, limited by count and bytes."""
    portion: list[Item] = []
    size = 0
    for item in items:
        portion.append(item)
        size += item.bytes or 0
        if len(portion) == _PORTION_ITEMS or size > _PORTION_BYTES:
            break
    return portion


def _places(items: Iterable[Item]) -> Iterator[Place]:
    """Yield the places of the items' members, each followed by the places of its sidecars."""
    for item in items:
        if "member" in item.locator_state:
            yield Place(*item.locator_state["member"])
            for _, *place in item.locator_state.get("sidecars", ()):
                if place[1] <= MAX_SIDECAR:
                    yield Place(*place)


def _outcome(source: ArchiveOptions, item: Item, outcomes: Iterator[bytes | Failure]) -> Payload | Failure:
    """Return the outcome of one item, from the outcomes of its places."""
    if "member" not in item.locator_state:
        return Failure(Reason.UNREADABLE, "a whole archive: discover the source again")
    data = next(outcomes)
    sidecars: list[tuple[str, bytes | Failure]] = []
    for suffix, *place in item.locator_state.get("sidecars", ()):
        fits = place[1] <= MAX_SIDECAR
        sidecars.append((suffix, next(outcomes) if fits else Failure(Reason.BAD_SIDECAR, "too large")))
    if isinstance(data, Failure):
        return data
    if not data:
        return Failure(Reason.EMPTY, "an empty member")
    if not data.startswith(_IMAGE_STARTS) and (kind := media_type(data[:HEAD])) in ARCHIVES:
        return Failure(Reason.NESTED_ARCHIVE, kind)
    if not sidecars:
        return Payload(data)
    parsed = _parse_sidecars(source, sidecars)
    return Payload(data, parsed.updates, parsed.meta)


def _parse_sidecars(source: ArchiveOptions, sidecars: list[tuple[str, bytes | Failure]]) -> Sidecar:
    """Merge the columns and `meta` of an item's sidecars; a caption in a text file overrides one in JSON."""
    updates: dict[str, Any] = {}
    meta: dict[str, Any] = {}
    for kind, data in sorted(sidecars, key=lambda sidecar: _RANK.get(sidecar[0], 2)):
        parsed = bad_sidecar(data.detail) if isinstance(data, Failure) else _parse_sidecar(source, kind, data)
        updates |= parsed.updates
        meta |= parsed.meta
    return Sidecar(updates, meta)


def _parse_sidecar(source: ArchiveOptions, kind: str, data: bytes) -> Sidecar:
    """Parse one sidecar by the source's `caption`, else by the conventions of WebDataset."""
    if source.caption is not None and f".{kind}" == source.caption.sidecar.lower():
        return read_sidecar(data, source.caption)
    if kind not in CLASSES:
        return read_sidecar(data, _JSON if kind in OBJECTS else _TEXT)
    try:
        return Sidecar({}, {kind: decode(data).strip()})
    except ValueError as error:
        return bad_sidecar(str(error))


def _all_failed(items: Iterable[Item], failure: Failure) -> Iterator[tuple[str, Failure]]:
    return ((item.item_id, failure) for item in items)
