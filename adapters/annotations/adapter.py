"""The `annotations` adapter: records of annotation files, whose images lie in folders and archives."""

from __future__ import annotations

import hashlib
import logging
import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ...catalog.models import Failure, Item, Payload
from ...catalog.status import Reason
from ...core.config_values import ResolvedPath
from ...core.errors import ConfigError
from ..archive.members import ArchiveLimits
from ..base import Adapter, SourceOptions
from ..captions import CaptionCount
from ..fields import BadRow, CaptionsOption, ColumnOptions, Fields, PlaceholdersOption, names_in, value_at
from ..huggingface.row_places import content_name
from ..names import escape
from ..records import joined, numbered, shaped
from ..tree import Tree
from ..urls.delimited import DelimiterOption
from .image_places import ImagePlaces, NoSuchImage
from .json_records import BadRecord
from .record_files import (
    Coco,
    Damage,
    Form,
    Record,
    RecordFile,
    Shape,
    form_of,
    guessed_image,
    image_column,
    read_coco,
    sampled,
    shape_of,
)

BATCH = 2_000
PLACE_FIELDS = ("file", "stem", "dir", "image_dir")
"""Template fields in addition to columns."""

log = logging.getLogger("derlem.annotations")


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


class AnnotationsOptions(SourceOptions):
    """Records in JSON (arrays, or objects with arrays), JSONL, CSV, TSV, Parquet and Arrow files.

    Each record names one image or several, which are looked up in `images`. Shapes: llava (`id`, `image` or
    `images`, `conversations`), coco (`images` and `annotations` with captions, joined by id), and rows
    (columns as in `columns`). Columns that are not mapped go into the item's `meta`.

    Category fields: every column by its name, {category} (the value of `columns.category`; coco: the first
    category), {file}, {stem} and {dir} of the annotation file, and {image_dir} of the first image.
    """

    path: ResolvedPath = Field(min_length=1, description="an annotation file, a folder of them, or a glob")
    images: Annotated[list[ResolvedPath], BeforeValidator(_listed)] = Field(
        default=[],
        description="folders, zips and plain tars in which images are looked up, in order; default: the "
        "folder of the annotation file",
    )
    format: Form | None = Field(default=None, description="default: derived from the names of the files")
    shape: Literal["auto"] | Shape = Field(
        default="auto", description="shape of the records; auto: by looking"
    )
    delimiter: DelimiterOption = None
    columns: ColumnOptions = Field(default_factory=ColumnOptions)
    captions: CaptionsOption = "all"
    placeholders: PlaceholdersOption = "keep"
    limits: ArchiveLimits = Field(default=ArchiveLimits(), description="maximum sizes and counts of archives")


class AnnotationsAdapter(Adapter[AnnotationsOptions]):
    """Reads records; uri is the annotation file, locator the record's id, or a hash of its content."""

    Options = AnnotationsOptions
    texts_read = False

    def discover(self, source: AnnotationsOptions) -> Iterator[list[Item]]:
        """Stream the records. An invalid record is an item with a reason; so is a damaged file."""
        captions = CaptionCount(source.name, "its records")
        items = shaped(self._items(source), source.captions, source.placeholders)
        while batch := list(islice(items, BATCH)):
            captions.add(batch)
            yield batch
        if source.columns.caption:
            captions.warn(log)

    def read(
        self, source: AnnotationsOptions, items: Iterable[Item]
    ) -> Iterator[tuple[str, Payload | Failure]]:
        """Read the images of each record from the places in which its listing found them."""
        opened: dict[str, ImagePlaces] = {}
        try:
            for item in items:
                folder = item.locator_state.get("folder", "")
                if folder not in opened:
                    opened[folder] = ImagePlaces(source.images or [folder], source.limits)
                parts = item.locator_state.get("images", ())
                if not parts:
                    yield (
                        item.item_id,
                        Failure(Reason.MISSING, "the last listing found no image; discover again"),
                    )
                    continue
                places = opened[folder]
                yield item.item_id, joined((places.read(part) for part in parts), len(parts))
        finally:
            for places in opened.values():
                places.close()

    def _items(self, source: AnnotationsOptions) -> Iterator[Item]:
        files = _files(source, self.context.workspace.root)
        if not files:
            raise ConfigError(f"there are no annotation files at {source.path}", key="path")
        opened: dict[str, ImagePlaces] = {}
        try:
            for number, (name, path, form) in enumerate(files):
                folder = "" if source.images else str(path.parent)
                if folder not in opened:
                    opened[folder] = ImagePlaces(source.images or [folder], source.limits)
                try:
                    file = RecordFile(
                        path, form, _first_image(source, path, form), delimiter=source.delimiter
                    )
                    yield from _Records(source, name, file, opened[folder], folder).items()
                except Damage as damage:
                    yield _rejected(source, name, "", Reason.BAD_ROW, f"the file: {damage}")
                except ConfigError as error:
                    if number == 0:
                        raise
                    yield _rejected(source, name, "", Reason.BAD_ROW, error.message)
        finally:
            for places in opened.values():
                places.close()
                if places.shadowed:
                    log.warning(
                        "%s: %d images are in several places; the first is used", source.name, places.shadowed
                    )


def _first_image(source: AnnotationsOptions, path: Path, form: Form) -> str:
    """Return the first column of images, which shows how a CSV file is delimited; '' if it is not known."""
    image = source.columns.image
    if image is None:
        return guessed_image(path) if form == "csv" else ""
    return image if isinstance(image, str) else image[0]


def _files(source: AnnotationsOptions, workspace: Path) -> list[tuple[str, Path, Form]]:
    """Return names (below the root), paths and formats of the annotation files, sorted. Raises ConfigError.

    Of a folder, only files with the name of an annotation file are read, as images may lie beside them.
    """
    tree = Tree(source.path, without=workspace)
    found: list[tuple[str, Path, Form]] = []
    others = []
    for folder in tree.folders():
        for name in folder.files:
            path = Path(tree.root, folder.path, name)
            form = source.format or form_of(path)
            if form is None:
                others.append(path)
            else:
                found.append((escape(os.fspath(folder.join(name))), path, form))
    if not found and others:
        raise ConfigError(
            f"{others[0]} does not have the name of an annotation file: set `format`", key="path"
        )
    return found


class _Records:
    """The records of one file."""

    def __init__(
        self, source: AnnotationsOptions, name: str, file: RecordFile, places: ImagePlaces, folder: str
    ) -> None:
        """Raises Damage for a file without a readable record, and ConfigError for missing columns."""
        self._source, self._name, self._places, self._folder = source, name, places, folder
        shape = source.shape if source.shape != "auto" else shape_of(file)
        self._coco: Coco | None = None
        columns = source.columns
        if shape == "coco":
            file = replace(file, members=("images",))
            self._coco = read_coco(file)
            columns = _defaults(
                columns, image="file_name", key="id", caption="captions", category="categories"
            )
        known = list(dict.fromkeys(name for record in sampled(file) for name in names_in(record)))
        if self._coco is not None:
            known += ["captions", "categories"]
        images = columns.image or image_column(known)
        self._images: list[str] = [images] if isinstance(images, str) else images
        if shape == "llava":
            columns = _defaults(columns, key="id" if "id" in known else None, conversations="conversations")
        missing = [name for name in self._images if name not in known]
        if missing and known:
            raise ConfigError(
                f"{name} has no column {missing[0]!r} (it has: {', '.join(sorted(known))})",
                key="columns.image",
            )
        self._columns = columns
        mapped = columns.model_dump(exclude={"image"}, exclude_none=True).values()
        self._file = replace(file, image=self._images[0], texts=(*self._images, *mapped))
        self._fields = Fields(columns, source.category, PLACE_FIELDS, known, images=self._images)
        self._seen: dict[int, int] = {}

    def items(self) -> Iterator[Item]:
        """Yield the items of all records. Raises Damage after the readable ones."""
        for place, record in self._file.records():
            yield self._item(place, record)
        if self._coco is not None:
            for place, image in self._coco.orphans:
                detail = f"no image with the id {image[:100]} is listed"
                yield _rejected(self._source, self._name, place, Reason.BAD_ROW, detail)

    def _item(self, place: str, record: Record) -> Item:
        if isinstance(record, BadRecord):
            return _rejected(self._source, self._name, place, Reason.BAD_ROW, str(record))
        if self._coco is not None:
            image = str(record.get("id"))
            record = {
                **record,
                "captions": self._coco.captions.get(image, []),
                "categories": self._coco.categories.get(image),
            }
        locator = self._locator(record)
        try:
            names = _image_names(record, self._images)
            first = names[0] if names else ""
            file = Path(self._name)
            fields = self._fields.of(
                record,
                {
                    "file": file.name,
                    "stem": file.name.partition(".")[0],
                    "dir": str(file.parent),
                    "image_dir": posixpath.dirname(first.replace("\\", "/")),
                },
            )
        except BadRow as problem:
            return _rejected(self._source, self._name, locator, Reason.BAD_ROW, str(problem))
        item = Item(self._source.name, self._name, locator, images=max(1, len(names)), **fields)
        if not names:
            item.reason = Reason.NO_IMAGE
            item.meta["detail"] = "the record names no image"
            return item
        states, revisions = [], []
        for number, name in enumerate(names, start=1):
            try:
                state, revision = self._places.find(name)
            except NoSuchImage as problem:
                item.reason = problem.reason
                item.meta["detail"] = numbered(number, len(names), str(problem))
                return item
            states.append(state)
            revisions.append(revision)
        item.locator_state = {"images": states, **({"folder": self._folder} if self._folder else {})}
        item.revision = " ".join(revisions)
        return item

    def _locator(self, record: dict[str, Any]) -> str:
        """Return the id of a record, else a hash of its content; repeated ones are numbered."""
        key = None if self._columns.key is None else value_at(record, self._columns.key)
        if isinstance(key, str | int | float) and str(key).strip():
            name = escape(str(key))
        else:
            name = content_name(sorted(record.items()))
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        number = int.from_bytes(digest, "big")  # a number takes less memory than a name
        self._seen[number] = count = self._seen.get(number, 0) + 1
        return name if count == 1 else f"{name}~{count}"


def _image_names(record: dict[str, Any], columns: Sequence[str]) -> list[str]:
    """Return the names of a record's images. Raises BadRow for values that are no names."""
    names: list[str] = []
    for column in columns:
        value = value_at(record, column)
        for name in value if isinstance(value, list) else [value]:
            if name is None or name == "":
                if isinstance(value, list):
                    raise BadRow(f"an empty name in the list {column}")
            elif isinstance(name, str):
                names.append(name)
            else:
                raise BadRow(f"column {column} is neither the path of an image nor a list of paths")
    return names


def _defaults(columns: ColumnOptions, **names: str | None) -> ColumnOptions:
    """Return the columns, with default names for those that are not mapped."""
    unset = {option: name for option, name in names.items() if getattr(columns, option) is None}
    return columns.model_copy(update=unset)


def _rejected(source: AnnotationsOptions, name: str, locator: str, reason: Reason, detail: str) -> Item:
    return Item(source.name, name, locator=locator, meta={"detail": detail}, reason=reason)
