"""Lists the rows of a dataset as items, without reading images where the format allows it."""

from __future__ import annotations

import hashlib
import logging
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import pyarrow as pa
from pyarrow import types

from ...catalog.models import Item, item_id
from ...catalog.status import Reason
from ...core.errors import ConfigError
from ..archive.webdataset import PairingCounts
from . import layout as layouts
from .columnar import ArrowRows, ColumnarFile, ParquetRows
from .dataset_files import Files, FileTrouble, LocalFiles, inside
from .dataset_options import HuggingfaceOptions
from .fields import BadRow, Fields, names_in, value_at
from .image_columns import Feature, Kind, Leaf, Reference, is_bytes, leaves, references
from .layout import Layout
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
            uri, place = self._files.uri(path), _place(path, split)
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
            fields = Fields(self._source, {**features, **self._layout.features}, self._tar_names, ())
            uri, place = self._files.uri(path), _place(path, split)
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
        """Yield the items of a sample: its images, named by member, and rejected members."""
        for member in row.rejected:
            refused = keyless(member)
            locator = f"{split}/{member.name}"
            yield self._item(uri, locator, reason=refused.reason, detail=refused.detail)
        images = {
            name: member
            for name, member in row.images.items()
            if self._wanted is None or name in self._wanted or name.rpartition(".")[2] in self._wanted
        }
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

    def _named(self, split: str) -> Iterator[Item]:
        """Yield items of JSON or CSV files whose rows name images by path."""
        listed = layouts.Listed(self._layout, split, self._files)
        places = leaves(listed.schema, listed.features, self._wanted)
        fields = self._fields(listed.schema, listed.features, places)
        names = RowNames(self._source)
        for path, number, row in listed.rows():
            if not number:
                names = RowNames(self._source)
            uri, place = self._files.uri(path), _place(path, split)
            locator = f"{split}/{names.of(row)}"
            yield from self._row(fields, places, uri, locator, row, place, {}, "")

    def _folder(self, split: str) -> Iterator[Item]:
        """Yield items of an imagefolder. The uri is the image's path, so that new files change no items."""
        listed = layouts.Listed(self._layout, split, self._files)
        places = leaves(listed.schema, listed.features, self._wanted)
        fields = self._fields(listed.schema, listed.features, places)
        several = len(places) > 1 or places[0].listed
        seen: dict[int, int] = {}  # an image may have several rows with different texts
        names = RowNames(self._source)
        for _, _, row in listed.rows():
            name = f"{split}/{names.of(row)}"
            row_id = item_id(self._source.name, "", name)
            found = list(references(row, places))
            if not found:
                yield self._item("", name, reason=Reason.NO_VALUE, detail="the row has no image")
            for reference in found:
                path, locator_state = self._folder_place(str(reference.value["path"]))
                uri = self._files.uri(locator_state.get("zip", path))
                locator = f"{split}/{path}" if "zip" in locator_state else split
                key = int(item_id(self._source.name, uri, locator)[:16], 16)
                seen[key] = count = seen.get(key, 0) + 1
                if count > 1:
                    locator = f"{locator}/{count}"
                try:
                    texts = fields.of(row, _place(path, split))
                except BadRow as problem:
                    yield self._item(uri, locator, reason=Reason.BAD_ROW, detail=str(problem))
                    continue
                parent = row_id if several else None
                zipped = "zip" in locator_state
                yield self._item(
                    uri,
                    locator,
                    texts,
                    parent_id=parent,
                    locator_state=locator_state,
                    partition_key=uri if zipped else "",
                    revision=self._files.revision(locator_state["zip"])
                    if zipped
                    else self._files.image_revision(path) or "",
                )

    def _folder_place(self, path: str) -> tuple[str, dict[str, Any]]:
        """Return the path of an imagefolder's image named by `datasets`, and its locator state."""
        if path.startswith("zip://"):
            member, _, container = path.removeprefix("zip://").partition("::")
            return member, {"zip": layouts.relative(container, self._files), "member": member}
        plain = layouts.relative(path, self._files)
        return plain, {"paths": [plain]}

    def _fields(self, schema: pa.Schema, features: Mapping[str, Feature], places: Sequence[Leaf]) -> Fields:
        fields = Fields(self._source, features, names_in(_nested(schema)), {leaf.column for leaf in places})
        for key, name in self._source.columns.model_dump(exclude={"image"}, exclude_none=True).items():
            if name in schema.names and is_bytes(schema.field(name).type):
                raise ConfigError(f"the column {name!r} contains bytes, not text", key=f"columns.{key}")
        return fields

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
        """Yield the items of a row: one, or one per image if columns or lists can contain several."""
        try:
            texts = fields.of(values, place)
        except BadRow as problem:
            yield self._item(uri, locator, reason=Reason.BAD_ROW, detail=str(problem))
            return
        several = len(places) > 1 or places[0].listed
        parent = item_id(self._source.name, uri, locator) if several else None
        empty = True
        for reference in references(values, places):
            empty = False
            where = f"{locator}/{reference.spot}" if several else locator
            if reference.leaf.kind is Kind.PATH or not locator_state:
                yield self._path_item(uri, where, texts, parent, reference, place)
                continue
            own = {**locator_state, "column": list(reference.leaf.names)}
            if reference.index:
                own["index"] = list(reference.index)
            yield self._item(
                uri, where, texts, parent_id=parent, locator_state=own, partition_key=partition_key
            )
        if empty:
            yield self._item(uri, locator, texts, reason=Reason.NO_VALUE, detail="the row has no image")

    def _path_item(
        self,
        uri: str,
        locator: str,
        texts: Mapping[str, Any],
        parent: str | None,
        reference: Reference,
        place: Mapping[str, str],
    ) -> Item:
        """Return the item of an image that a row names by path, relative to its data file or the root."""
        value = reference.value
        named = str(value.get("path") if isinstance(value, Mapping) else value)
        if named.startswith(("http://", "https://")):
            detail = "the image is a URL; the `urls` adapter fetches such lists"
            return self._item(uri, locator, texts, parent_id=parent, reason=Reason.BAD_ROW, detail=detail)
        paths = candidates(named, place["dir"], self._files)
        if not paths:
            detail = f"{named[:200]} leads out of the dataset"
            return self._item(uri, locator, texts, parent_id=parent, reason=Reason.UNSAFE_PATH, detail=detail)
        item = self._item(uri, locator, texts, parent_id=parent, locator_state={"paths": paths})
        found = ((path, self._files.image_revision(path)) for path in paths)
        item.revision = next((f"{path}@{revision}" for path, revision in found if revision is not None), "")
        return item

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


class RowNames:
    """Names the rows of a data file: by the declared key column, else by content.

    The content is every column except the bytes of images. Rows with the same name are numbered.
    """

    def __init__(self, source: HuggingfaceOptions) -> None:
        self._key = source.columns.key
        self._seen: dict[str, int] = {}

    def of(self, values: Mapping[str, Any]) -> str:
        """Return the name of the next row."""
        key = None if self._key is None else value_at(values, self._key)
        if key is None:
            content = repr(sorted(values.items())).encode("utf-8", "surrogatepass")
            name = hashlib.blake2b(content, digest_size=8).hexdigest()
        else:
            name = str(key)
        self._seen[name] = count = self._seen.get(name, 0) + 1
        return name if count == 1 else f"{name}~{count}"


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


def candidates(named: str, folder: str, files: Files) -> list[str]:
    """Return the candidate paths, below the root, of a path in a row; none if it leads elsewhere."""
    root = str(files.root) if isinstance(files, LocalFiles) else None
    if named.startswith("/"):
        found = inside(named, root)
        return [found] if found else []
    paths: Iterable[str | None] = (inside(posixpath.join(folder, named)), inside(named))
    return list(dict.fromkeys(path for path in paths if path))


def _place(path: str, split: str) -> dict[str, str]:
    name = posixpath.basename(path)
    return {"split": split, "file": name, "stem": name.partition(".")[0], "dir": posixpath.dirname(path)}


def _nested(schema: pa.Schema) -> dict[str, Any]:
    """Return the names in a schema, with structs as nested dicts."""

    def inner(kind: pa.DataType) -> dict[str, Any] | None:
        return {field.name: inner(field.type) for field in kind} if types.is_struct(kind) else None

    return {field.name: inner(field.type) for field in schema}
