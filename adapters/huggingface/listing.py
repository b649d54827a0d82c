"""Lists the rows of a dataset as items, without reading images where the format allows it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import pyarrow as pa
from pyarrow import types

from ...catalog.models import Item, item_id
from ...catalog.status import Reason
from ...core.errors import ConfigError
from ..archive.members import Member
from ..archive.webdataset import PairingCounts
from ..fields import BadRow, Feature, Fields, names_in
from ..records import numbered
from . import layout as layouts
from .columnar import ArrowRows, ColumnarFile, ParquetRows
from .dataset_files import Files, FileTrouble
from .dataset_options import HuggingfaceOptions
from .image_columns import Kind, Leaf, Reference, is_bytes, leaves, references
from .layout import Layout
from .row_places import PLACE_FIELDS, RowNames, candidates, content_name, place_of
from .tars import TarFile, TarRow, keyless

PROBED = 32
"""Samples of a tar from which the names of its fields are determined."""


log = logging.getLogger("derlem.huggingface")


class Listing:
    """One pass over the selected splits of a dataset, in the order of their data files."""

    def __init__(self, source: HuggingfaceOptions, files: Files, layout: Layout) -> None:
        self._source, self._files, self._layout = source, files, layout
        self._pairing = PairingCounts()
        self._tar_names = {"__key__"}  # of all tars so far, since the first samples of a tar may lack a field

    def items(self) -> Iterator[Item]:
        """Yield all items. A damaged file is an item with a reason; a transient failure is an error."""
        for split, paths in self._layout.splits.items():
            if self._layout.format in ("parquet", "arrow", "webdataset"):
                read = self._tar if self._layout.format == "webdataset" else self._columnar
                for path in paths:
                    yield from self._or_damage(path, split, read(path, split))
            elif self._layout.format == "imagefolder":
                yield from self._folder(split)
            else:
                yield from self._named(split)
        self._pairing.warn(self._source.name, log)

    def _or_damage(self, path: str, split: str, items: Iterator[Item]) -> Iterator[Item]:
        try:
            with self._files.guarded(path):
                yield from items
        except FileTrouble as trouble:
            if trouble.reason.transient:
                raise
            yield self._item(self._files.uri(path), split, reason=trouble.reason, detail=trouble.detail)

    def _columnar(self, path: str, split: str) -> Iterator[Item]:
        """Yield items of a Parquet or Arrow file, with their groups, so that reading skips other groups."""
        form = self._layout.format
        file = open_columnar(form, self._files, path, parts=True)
        try:
            features = {**layouts.features_of(file.schema), **self._layout.features}
            places = leaves(file.schema, features, self._wanted)
            fields = self._fields(file.schema, features, places)
            uri, place = self._files.uri(path), place_of(self._source, path, split)
            revision, names = self._files.revision(path), RowNames(self._source)
            divisible = file.divisible and not self._files.whole
            for row in file.rows(places):
                locator_state = {"format": form, "group": row.group, "place": row.place}
                partition_key = f"{uri}#{row.group:06d}" if divisible else uri
                locator = f"{split}/{names.of(row.values)}"
                for item in self._row(
                    fields, places, uri, locator, row.values, place, locator_state, partition_key
                ):
                    item.revision = item.revision or revision
                    yield item
        finally:
            file.close()

    def _tar(self, path: str, split: str) -> Iterator[Item]:
        """Yield items of a WebDataset tar, in one pass over its headers and small members."""
        tar = TarFile(self._files.open(path, parts=False))
        try:
            probed, rest = _probe(tar.rows(layouts.image_extensions(), self._pairing))
            for row in probed:
                self._tar_names.update(names_in(row.values))
                for own in row.own.values():
                    self._tar_names.update(names_in(own))
            features: dict[str, Feature] = {name: {"_type": "Json"} for name in ("json", "jsn")}
            features = {**features, **self._layout.features}
            fields = self._fields_of(self._tar_names, features=features)
            uri, place = self._files.uri(path), place_of(self._source, path, split)
            partition_key = "" if tar.plain and not self._files.whole else uri
            revision = self._files.revision(path)
            for row in chain(probed, rest):
                for item in self._tar_row(fields, row, uri, split, place, partition_key):
                    item.revision = revision
                    yield item
        finally:
            tar.close()

    def _tar_row(
        self,
        fields: Fields,
        row: TarRow,
        uri: str,
        split: str,
        place: Mapping[str, str],
        partition_key: str,
    ) -> Iterator[Item]:
        """Yield the items of a sample: a record of its images, and rejected members.

        A sample whose images have texts of their own (`left.txt` for `left.jpg`) gives an item per image.
        """
        images = {
            name: member
            for name, member in row.images.items()
            if self._wanted is None or name in self._wanted or name.rpartition(".")[2] in self._wanted
        }
        whole = len(images) > 1 and not any(row.own[name] for name in images)
        for member in row.rejected:
            if whole and member.reason is not Reason.DUPLICATE_NAME:
                continue  # the record is rejected
            refused = keyless(member)
            locator = f"{split}/{member.name}"
            yield self._item(uri, locator, reason=refused.reason, detail=refused.detail)
        if whole:
            yield self._tar_record(fields, row, list(images.values()), uri, split, place, partition_key)
            return
        parent = item_id(self._source.name, uri, f"{split}/{row.key}") if len(images) > 1 else None
        if not images and not row.rejected:
            reason, detail = Reason.NO_IMAGE, "the sample has no image"
            yield self._item(uri, f"{split}/{row.name}", reason=reason, detail=detail)
        for name, member in images.items():
            locator = f"{split}/{member.name}"
            try:
                texts = fields.of({"__key__": row.key, **row.values, **row.own[name]}, place)
            except BadRow as problem:
                yield self._item(uri, locator, reason=Reason.BAD_ROW, detail=str(problem))
                continue
            texts["meta"] |= row.notes
            yield self._item(
                uri,
                locator,
                texts,
                parent_id=parent,
                bytes=member.place.size,
                locator_state={"format": "webdataset", "at": list(member.place)},
                partition_key=partition_key,
            )

    def _tar_record(
        self,
        fields: Fields,
        row: TarRow,
        members: Sequence[Member],
        uri: str,
        split: str,
        place: Mapping[str, str],
        partition_key: str,
    ) -> Item:
        """Return the item of a sample of several images; a refused image refuses the sample."""
        locator, count = f"{split}/{row.key}", len(members)
        try:
            texts = fields.of({"__key__": row.key, **row.values}, place)
        except BadRow as problem:
            return self._item(uri, locator, images=count, reason=Reason.BAD_ROW, detail=str(problem))
        texts["meta"] |= row.notes
        for member in row.rejected:
            if member.reason is not Reason.DUPLICATE_NAME:
                detail = f"{member.name}: {member.detail}"
                return self._item(uri, locator, texts, images=count, reason=member.reason, detail=detail)
        first, *more = [{"at": list(member.place)} for member in members]
        return self._item(
            uri,
            locator,
            texts,
            images=count,
            locator_state={"format": "webdataset", **first, "more": more},
            partition_key=partition_key,
        )

    def _named(self, split: str) -> Iterator[Item]:
        """Yield items of JSON or CSV files whose rows name images by path."""
        listed = layouts.Listed(self._layout, split, self._files)
        places = leaves(listed.schema, listed.features, self._wanted)
        fields = self._fields(listed.schema, listed.features, places)
        names = RowNames(self._source)
        for path, number, row in listed.rows():
            if not number:
                names = RowNames(self._source)
            uri, place = self._files.uri(path), place_of(self._source, path, split)
            locator = f"{split}/{names.of(row)}"
            yield from self._row(fields, places, uri, locator, row, place, {}, "")

    def _folder(self, split: str) -> Iterator[Item]:
        """Yield items of an imagefolder. The uri is the image's path, so that new files change no items."""
        listed = layouts.Listed(self._layout, split, self._files)
        places = leaves(listed.schema, listed.features, self._wanted)
        fields = self._fields(listed.schema, listed.features, places)
        seen: dict[int, int] = {}  # an image may have several rows with different texts
        names = RowNames(self._source)
        for _, _, row in listed.rows():
            name = f"{split}/{names.of(row)}"
            found = [str(reference.value["path"]) for reference in references(row, places)]
            if not found:
                yield self._item("", name, reason=Reason.NO_VALUE, detail="the row has no image")
                continue
            (path, locator_state), *more = map(self._folder_place, found)
            paths = [path, *(place for place, _ in more)]
            zipped = locator_state.get("zip")
            uri = self._files.uri(zipped or path)
            locator = f"{split}/{content_name(paths)}" if more else f"{split}/{path}" if zipped else split
            key = int(item_id(self._source.name, uri, locator)[:16], 16)
            seen[key] = count = seen.get(key, 0) + 1
            if count > 1:
                locator = f"{locator}/{count}"
            own = {**locator_state, "more": [state for _, state in more]} if more else locator_state
            try:
                if any(state.get("zip") != zipped for _, state in more):
                    raise BadRow("the images of a row are in several zip files")
                texts = fields.of(row, place_of(self._source, path, split))
            except BadRow as problem:
                yield self._item(uri, locator, images=len(found), reason=Reason.BAD_ROW, detail=str(problem))
                continue
            revisions = (self._files.image_revision(path) or "" for path in paths)
            yield self._item(
                uri,
                locator,
                texts,
                images=len(found),
                locator_state=own,
                partition_key=uri if zipped else "",
                revision=self._files.revision(zipped) if zipped else " ".join(revisions),
            )

    def _folder_place(self, path: str) -> tuple[str, dict[str, Any]]:
        """Return the path of an imagefolder's image named by `datasets`, and its locator state."""
        if path.startswith("zip://"):
            member, _, container = path.removeprefix("zip://").partition("::")
            return member, {"zip": layouts.relative(container, self._files), "member": member}
        plain = layouts.relative(path, self._files)
        return plain, {"paths": [plain]}

    def _fields(self, schema: pa.Schema, features: Mapping[str, Feature], places: Sequence[Leaf]) -> Fields:
        fields = self._fields_of(
            names_in(_nested(schema)), features=features, images={leaf.column for leaf in places}
        )
        for key, name in self._source.columns.model_dump(exclude={"image"}, exclude_none=True).items():
            if name in schema.names and is_bytes(schema.field(name).type):
                raise ConfigError(f"the column {name!r} contains bytes, not text", key=f"columns.{key}")
        return fields

    def _fields_of(self, known: Iterable[str], **columns: Any) -> Fields:
        return Fields(self._source.columns, self._source.category, PLACE_FIELDS, known, **columns)

    def _row(
        self,
        fields: Fields,
        places: Sequence[Leaf],
        uri: str,
        locator: str,
        values: Mapping[str, Any],
        place: Mapping[str, str],
        locator_state: dict[str, Any],
        partition_key: str,
    ) -> Iterator[Item]:
        """Yield the item of a row, a record of all of its images."""
        try:
            texts = fields.of(values, place)
        except BadRow as problem:
            yield self._item(uri, locator, reason=Reason.BAD_ROW, detail=str(problem))
            return
        found = list(references(values, places))
        if not found:
            yield self._item(uri, locator, texts, reason=Reason.NO_VALUE, detail="the row has no image")
            return
        states: list[dict[str, Any]] = []
        revisions: list[str] = []
        for number, reference in enumerate(found, start=1):
            try:
                state, revision = self._image_state(reference, place, listed=bool(locator_state))
            except BadImage as problem:
                detail = numbered(number, len(found), str(problem))
                yield self._item(uri, locator, texts, images=len(found), reason=problem.reason, detail=detail)
                return
            states.append(state)
            revisions += [revision] if revision else []
        files_alone = all("paths" in state for state in states)
        own = states[0] if files_alone else {**locator_state, **states[0]}
        if len(states) > 1:
            own = {**own, "more": states[1:]}
        item = self._item(uri, locator, texts, images=len(states), locator_state=own)
        if files_alone:
            item.revision = " ".join(revisions)
        else:
            item.partition_key = partition_key
        yield item

    def _image_state(
        self, reference: Reference, place: Mapping[str, str], *, listed: bool
    ) -> tuple[dict[str, Any], str]:
        """Return the state by which an image of a row is read, and the revision of its own file; BadImage.

        The state is a column of the row, or candidate paths relative to the row's data file or the root.
        """
        if reference.value is None:
            raise BadImage(Reason.NO_VALUE, "the list has no image here")
        if reference.leaf.kind is not Kind.PATH and listed:
            own: dict[str, Any] = {"column": list(reference.leaf.names)}
            if reference.index:
                own["index"] = list(reference.index)
            return own, ""
        value = reference.value
        named = str(value.get("path") if isinstance(value, Mapping) else value)
        if named.startswith(("http://", "https://")):
            raise BadImage(Reason.BAD_ROW, "the image is a URL; the `urls` adapter fetches such lists")
        paths = candidates(named, place["dir"], self._files)
        if not paths:
            raise BadImage(Reason.UNSAFE_PATH, f"{named[:200]} leads out of the dataset")
        found = ((path, self._files.image_revision(path)) for path in paths)
        revision = next((f"{path}@{revision}" for path, revision in found if revision is not None), "")
        return {"paths": paths}, revision

    def _item(
        self,
        uri: str,
        locator: str,
        texts: Mapping[str, Any] | None = None,
        *,
        reason: Reason | None = None,
        detail: str = "",
        locator_state: dict[str, Any] | None = None,
        **columns: Any,
    ) -> Item:
        item = Item(
            source=self._source.name, uri=uri, locator=locator, reason=reason, **(texts or {}), **columns
        )
        item.meta = dict(item.meta)
        item.locator_state = {} if locator_state is None else locator_state
        if self._files.commit:
            item.meta["revision"] = item.locator_state["commit"] = self._files.commit
        if detail:
            item.meta["detail"] = detail
        return item

    @property
    def _wanted(self) -> list[str] | None:
        image = self._source.columns.image
        return [image] if isinstance(image, str) else image


class BadImage(ValueError):
    """An image of a row that cannot be read."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


def _probe(rows: Iterator[TarRow]) -> tuple[list[TarRow], Iterator[TarRow]]:
    """Return the first rows, and an iterator over the rest, which raises errors of the first rows."""
    probed: list[TarRow] = []
    try:
        for row in islice(rows, PROBED):
            probed.append(row)  # noqa: PERF402 - keeps rows before damage
    except FileTrouble as error:
        return probed, _raising(error)
    return probed, rows


def _raising(error: Exception) -> Iterator[TarRow]:
    yield from ()
    raise error


def open_columnar(form: str, files: Files, path: str, *, parts: bool) -> ColumnarFile:
    """Open a Parquet or Arrow file; `parts`: only some of its columns will be read."""
    if form == "parquet":
        return ParquetRows(files.open(path, parts=parts))
    return ArrowRows(files.open(path, parts=False))  # Arrow files have no index of columns


def _nested(schema: pa.Schema) -> dict[str, Any]:
    """Return the names in a schema, with structs as nested dicts."""

    def inner(kind: pa.DataType) -> dict[str, Any] | None:
        return {field.name: inner(field.type) for field in kind} if types.is_struct(kind) else None

    return {field.name: inner(field.type) for field in schema}
