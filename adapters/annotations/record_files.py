"""Reads annotation files record by record, in any supported format, and finds their shape."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from ...core.errors import ConfigError
from ..urls.lists import UNREADABLE, UrlList, format_of, open_text
from ..urls.lists import Format as ListFormat
from ..urls.parquet_rows import arrow_rows
from .json_records import BadRecord, JsonDamage, json_records

SAMPLE = 1_000
"""Records from which the shape and the columns of a file are derived."""

Form = ListFormat | Literal["json", "arrow"]
Shape = Literal["llava", "coco", "rows"]

IMAGE_COLUMNS = ("image", "images", "img", "file_name", "file_names", "image_path", "filename", "path")
"""Names of columns that hold paths of images, unless `columns.image` names one."""

_HEADER = 2**16

_ENDINGS: dict[str, Form] = {".json": "json", ".arrow": "arrow", ".feather": "arrow"}

Record = dict[str, Any] | BadRecord


class Damage(Exception):
    """A file that cannot be read further."""


@dataclass(frozen=True, slots=True)
class RecordFile:
    """An annotation file. `image` names its column of images, as far as known; `delimiter` is that of csv.

    `members` are the arrays of a JSON object that hold records; () for all.
    """

    path: Path
    form: Form
    image: str = ""
    texts: tuple[str, ...] = ()
    delimiter: str | None = None
    members: tuple[str, ...] = ()

    def records(self) -> Iterator[tuple[str, Record]]:
        """Yield the place (`record 3`) and the value of each record. Raises Damage after readable ones."""
        try:
            if self.form == "json":
                yield from self._json()
            elif self.form == "arrow":
                for rows in arrow_rows(self.path, self.texts):
                    yield from (_row(number, row) for number, row in rows)
            else:
                for batch in UrlList(self.path, self.form, self.image, self.texts, self.delimiter).rows():
                    both: list[tuple[int, dict[str, Any] | str]] = [*batch.good, *batch.bad]
                    found = sorted(both, key=lambda numbered: numbered[0])
                    yield from (_row(number, row) for number, row in found)
        except MemoryError:
            raise
        except (*UNREADABLE, JsonDamage, UnicodeError) as error:
            raise Damage(str(error) or type(error).__name__) from error

    def _json(self) -> Iterator[tuple[str, Record]]:
        with open_text(self.path) as file:
            for member, number, value in json_records(file, self.members):
                record = value if isinstance(value, dict | BadRecord) else BadRecord("not an object")
                yield f"record {member}/{number}" if member else f"record {number}", record


def _row(number: int, row: dict[str, Any] | str) -> tuple[str, Record]:
    return f"record {number}", BadRecord(row) if isinstance(row, str) else row


def form_of(path: Path) -> Form | None:
    """Return the format of a file by its name; None for an unknown name."""
    packed = path.with_suffix("") if path.suffix.lower() in (".gz", ".bz2", ".xz", ".zst") else path
    form = _ENDINGS.get(packed.suffix.lower())
    if form == "arrow" and packed != path:
        return None
    if form is None and (listed := format_of(path)) != "txt":
        return listed
    return form


def sampled(file: RecordFile) -> list[dict[str, Any]]:
    """Return the first records of a file. Raises Damage if there are none before the damage."""
    found: list[dict[str, Any]] = []
    try:
        found.extend(record for _, record in islice(file.records(), SAMPLE) if isinstance(record, dict))
    except Damage:
        if not found:
            raise
    return found


def shape_of(file: RecordFile) -> Shape:
    """Return the shape of a file: coco by its members, llava by its conversations and images, else rows.

    Raises Damage.
    """
    if file.form == "json" and _is_coco(file):
        return "coco"
    for record in sampled(file):
        if "conversations" in record:
            return "llava"
    return "rows"


def _is_coco(file: RecordFile) -> bool:
    try:
        with open_text(file.path) as text:
            members = {member for member, _, _ in islice(json_records(text, ("images", "annotations")), 1)}
    except (*UNREADABLE, JsonDamage, UnicodeError):
        return False
    return bool(members & {"images", "annotations"})


def image_column(names: Mapping[str, Any] | list[str]) -> str:
    """Return the column of images among the names of columns. Raises ConfigError if none has a usual name."""
    for name in IMAGE_COLUMNS:
        if name in names:
            return name
    raise ConfigError(
        f"no column has a usual name of images ({', '.join(IMAGE_COLUMNS)}); "
        f"name one of: {', '.join(sorted(names)) or 'none'}",
        key="columns.image",
    )


def guessed_image(path: Path) -> str:
    """Return the column of a CSV file with a usual name of images, however its header is delimited; or ''."""
    with open_text(path) as file:
        names = re.split(r"[,;|\t\"]", file.readline(_HEADER).strip())
    return next((name for name in IMAGE_COLUMNS if name in names), "")


@dataclass(slots=True)
class Coco:
    """The annotations of a COCO file by image: captions, and the first category. Held in memory."""

    captions: dict[str, list[Any]]
    categories: dict[str, str]
    orphans: list[tuple[str, str]]
    """Places of annotations whose image is not listed, with the id that they name."""


def read_coco(file: RecordFile) -> Coco:
    """Read the annotations of a COCO file, and check that their images are listed. Raises Damage."""
    captions: dict[str, list[Any]] = {}
    named: dict[str, Any] = {}
    names: dict[str, str] = {}
    places: dict[str, str] = {}
    listed: set[str] = set()
    try:
        with open_text(file.path) as text:
            for member, number, value in json_records(text, ("images", "annotations", "categories")):
                if not isinstance(value, dict):
                    continue
                if member == "images":
                    listed.add(str(value.get("id")))
                elif member == "categories":
                    names[str(value.get("id"))] = str(value.get("name"))
                else:
                    image = str(value.get("image_id"))
                    places.setdefault(image, f"record annotations/{number}")
                    if "caption" in value:
                        captions.setdefault(image, []).append(value["caption"])
                    if "category_id" in value:
                        named.setdefault(image, value["category_id"])
    except MemoryError:
        raise
    except (*UNREADABLE, JsonDamage, UnicodeError):
        pass  # the pass over the images reports the damage
    categories = {image: names.get(str(name), str(name)) for image, name in named.items()}
    orphans = [(place, image) for image, place in places.items() if image not in listed]
    return Coco(captions, categories, orphans)
