"""Adapter for images and documents in archives: zips, tars, compressed tars, WebDataset shards."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterable, Iterator
from math import inf
from typing import Any, Literal

from pydantic import Field

from ...catalog.models import Failure, Item, Payload
from ...catalog.status import Reason
from ...core.config_values import ResolvedPath
from ...core.sniff import ARCHIVES, HEAD, media_type
from ..base import Adapter, Partitioning, SourceOptions
from ..captions import MAX_SIDECAR, CaptionOptions, Sidecar, bad_sidecar, decode, read_sidecar
from ..files.adapter import FIELDS, CategoryOf
from ..names import escape, unescape
from ..templates import Template
from ..tree import Tree, failure_from_os_error, open_below, root_of
from .containers import Container, PackedTar, open_container
from .members import ArchiveError, ArchiveLimits, Member, Place, validated
from .samples import WEBDATASET_SIDECARS, Sample, alone, beside, grouped, keeping, looks_grouped

BATCH = 2_000
_PORTION_ITEMS = 64
_PORTION_BYTES = 2**20
_MOST_KEPT = 2**28
"""Bytes of sidecars that are held while one compressed tar is listed, unless it is grouped by key."""

_IMAGE_STARTS = (b"\xff\xd8", b"\x89P")
"""How most members begin; they need no further look to see that they are no archives."""

_TEXT = CaptionOptions(sidecar=".txt")
_JSON = CaptionOptions(sidecar=".json")

log = logging.getLogger("derlem.archive")


class ArchiveOptions(SourceOptions):
    """Zips, tars, and tars compressed with gzip, bzip2, xz or zstd, distinguished by their bytes.

    Every member that is no directory is an item, but for sidecars of images. What must not or cannot
    be read is rejected with its reason: unsafe names, links, devices, encrypted, damaged and repeated
    members (the first one counts), nested archives, bombs. An archive that is damaged or cut short is
    itself a rejected item (bad_archive), beside those of its members that came before the damage.
    Nothing is ever unpacked to disk.

    Category fields: those of `files`, of the member's path in its archive, and {archive} (the archive's
    name up to its first dot) and {archive_dir} (the folders above it, from the root of `path`).
    """

    path: ResolvedPath = Field(
        min_length=1, description="archive, folder of archives (with all below it), or glob, as for files"
    )
    caption: CaptionOptions | None = Field(
        default=None, description="where captions stand; WebDataset samples have theirs without it"
    )
    webdataset: bool | Literal["auto"] = Field(
        default="auto",
        description="whether neighbouring members that share a key (the name up to its first dot) are one "
        "sample: .txt is its caption, .json holds caption and conversations, .cls goes to meta. "
        "auto: for tars whose first samples look like it, unless `caption` says where captions stand",
    )
    limits: ArchiveLimits = Field(default=ArchiveLimits(), description="how much an archive may ask for")


class ArchiveAdapter(Adapter[ArchiveOptions]):
    """Members of archives; uri is the archive's path below the root, locator the member's name."""

    Options = ArchiveOptions
    partitioning = Partitioning.BY_KEY

    def discover(self, source: ArchiveOptions) -> Iterator[list[Item]]:
        """List each archive in turn: zips and tars by their directories, compressed tars by unpacking."""
        template = Template(source.category, (*FIELDS, "archive", "archive_dir"))
        tree = Tree(source.path, without=self.context.workspace.root)
        items = self._items(source, tree, template)
        while batch := list(itertools.islice(items, BATCH)):
            yield batch

    def read(self, source: ArchiveOptions, items: Iterable[Item]) -> Iterator[tuple[str, Payload | Failure]]:
        """Read members archive by archive; a compressed one is unpacked once for all its items in a row."""
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
    def _items(source: ArchiveOptions, tree: Tree, template: Template) -> Iterator[Item]:
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
                    yield from _list_archive(source, handle, uri, category)
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
    """The item that speaks of an archive as a whole."""
    log.warning("%s: %s: %s", uri, reason, detail)
    return Item(
        source=source.name, uri=uri, category=category("", ""), meta={"detail": detail}, reason=reason
    )


def _list_archive(source: ArchiveOptions, handle: int, uri: str, category: CategoryOf) -> Iterator[Item]:
    """The items of one archive; the last one is the archive itself if it could not be read to its end."""
    empty = True
    try:
        container = open_container(handle, source.limits)
        for sample in _samples(source, container):
            empty = False
            yield _member_item(source, uri, category(*_split(sample.member.name)), sample, container)
        if empty:
            yield _archive_item(source, uri, category, Reason.EMPTY, "an archive of nothing")
    except ArchiveError as error:
        yield _archive_item(source, uri, category, error.reason, error.detail)
    except OSError as error:
        failure = failure_from_os_error(error)
        yield _archive_item(source, uri, category, failure.reason, failure.detail)


def _samples(source: ArchiveOptions, container: Container) -> Iterator[Sample]:
    """The archive's members, each with its sidecars, by the rule that the source asks for."""
    members = validated(container.members(), source.limits)
    own = {source.caption.sidecar[1:].lower()} if source.caption else set()
    by_key = source.webdataset is True or (source.webdataset == "auto" and not own and container.is_tar)
    if isinstance(container, PackedTar):  # its sidecars are met once, now
        most = inf if by_key else _MOST_KEPT
        members = keeping(members, container.stream, own | WEBDATASET_SIDECARS, most)
    if by_key and source.webdataset == "auto":
        by_key, members = looks_grouped(members)
    if by_key:
        return grouped(members, own | WEBDATASET_SIDECARS)
    return beside(members, source.caption.sidecar) if source.caption else alone(members)


def _member_item(
    source: ArchiveOptions, uri: str, category: str, sample: Sample, container: Container
) -> Item:
    member = sample.member
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
    sidecars = [(suffix, sidecar) for suffix, sidecar in sample.sidecars if _heard(source, suffix)]
    if container.one_pass:
        said = _said(source, [(suffix, _kept(sidecar)) for suffix, sidecar in sidecars])
        item.caption = said.updates.get("caption")
        item.conversations = said.updates.get("conversations")
        item.language = said.updates.get("language")
        item.meta = said.meta
    elif sidecars:
        item.locator_state["sidecars"] = [(suffix, *sidecar.place) for suffix, sidecar in sidecars]
    return item


def _heard(source: ArchiveOptions, suffix: str) -> bool:
    """Whether a sidecar with this suffix says anything: `caption` leaves no other say on captions."""
    return source.caption is None or suffix == "cls" or f".{suffix}" == source.caption.sidecar.lower()


def _kept(sidecar: Member) -> bytes | Failure:
    if sidecar.content is None:
        return Failure(Reason.BAD_SIDECAR, f"{sidecar.place.size} bytes are too much to hold")
    if len(sidecar.content) < sidecar.place.size:
        return Failure(Reason.TRUNCATED, "the archive ends inside the sidecar")
    return sidecar.content


def _read_archive(
    source: ArchiveOptions, handle: int, items: Iterator[Item]
) -> Iterator[tuple[str, Payload | Failure]]:
    try:
        container = open_container(handle, source.limits)
    except ArchiveError as error:
        yield from _all_failed(items, Failure(error.reason, error.detail))
    except OSError as error:
        yield from _all_failed(items, failure_from_os_error(error))
    else:
        while portion := _portion(items):
            yield from _read_portion(source, container, portion)


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
    """The next few items, as many as are worth reading together."""
    portion: list[Item] = []
    size = 0
    for item in items:
        portion.append(item)
        size += item.bytes or 0
        if len(portion) == _PORTION_ITEMS or size > _PORTION_BYTES:
            break
    return portion


def _places(items: Iterable[Item]) -> Iterator[Place]:
    """Where the members of the items lie, each followed by those of its sidecars that will be read."""
    for item in items:
        if "member" in item.locator_state:
            yield Place(*item.locator_state["member"])
            for _, *place in item.locator_state.get("sidecars", ()):
                if place[1] <= MAX_SIDECAR:
                    yield Place(*place)


def _outcome(source: ArchiveOptions, item: Item, outcomes: Iterator[bytes | Failure]) -> Payload | Failure:
    """The outcome of one item, from the next ones of its portion's places."""
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
        return Failure(Reason.EMPTY, "a member of no bytes")
    if not data.startswith(_IMAGE_STARTS) and (kind := media_type(data[:HEAD])) in ARCHIVES:
        return Failure(Reason.NESTED_ARCHIVE, kind)
    if not sidecars:
        return Payload(data)
    said = _said(source, sidecars)
    return Payload(data, said.updates, said.meta)


def _said(source: ArchiveOptions, sidecars: list[tuple[str, bytes | Failure]]) -> Sidecar:
    """What an item's sidecars say of it together: a text's caption goes before one in JSON."""
    updates: dict[str, Any] = {}
    meta: dict[str, Any] = {}
    for suffix, data in sorted(sidecars, key=lambda sidecar: sidecar[0]):  # cls, json, txt
        said = bad_sidecar(data.detail) if isinstance(data, Failure) else _of_part(source, suffix, data)
        updates |= said.updates
        meta |= said.meta
    return Sidecar(updates, meta)


def _of_part(source: ArchiveOptions, suffix: str, data: bytes) -> Sidecar:
    """What one sidecar says: by the source's `caption`, or by what WebDataset's users agree on."""
    if source.caption is not None and f".{suffix}" == source.caption.sidecar.lower():
        return read_sidecar(data, source.caption)
    if suffix != "cls":
        return read_sidecar(data, _JSON if suffix == "json" else _TEXT)
    try:
        return Sidecar({}, {"cls": decode(data).strip()})
    except ValueError as error:
        return bad_sidecar(str(error))


def _all_failed(items: Iterable[Item], failure: Failure) -> Iterator[tuple[str, Failure]]:
    return ((item.item_id, failure) for item in items)
