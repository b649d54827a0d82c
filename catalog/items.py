"""Items of the catalog as typed rows, with their images and provenance."""

from __future__ import annotations

import builtins
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb
from duckdb import ColumnExpression as Column
from duckdb import ConstantExpression as Value

from ..core.errors import DerlemError
from ..core.workspace import Workspace
from .connection import read_catalog
from .models import Message, MoreImage
from .queries import query
from .status import Reason, Status
from .user_queries import user_connection

if TYPE_CHECKING:
    from PIL.Image import Image

PAGE = 10_000
"""Rows per page. The catalog is closed between pages, so that an iteration never blocks a commit."""


class NoImage(DerlemError):
    """An item has no stored image, or its segment does not contain the image in the catalog."""

    def __init__(self, item_id: str, why: str) -> None:
        self.item_id, self.why = item_id, why
        super().__init__(f"item {item_id} has no image: {why}")


@dataclass(frozen=True, slots=True)
class Provenance:
    """The provenance of an item: its place in its source, the declaration of the source, and the evidence."""

    source: str
    adapter: str
    declaration: Mapping[str, Any]
    homepage: str | None
    license: str | None
    uri: str
    locator: str
    parent_id: str | None
    original_sha256: str | None
    discovered_at: datetime
    updated_at: datetime
    run: str
    version: str | None
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CatalogItem:
    """A row of the catalog's table `items`. Times are UTC; `width` and `height` are pixels.

    `images` counts the record's images. The image columns describe the first, `more_images` the others;
    `sha256` identifies all of them (`images_sha256`).
    """

    workspace: Workspace = field(repr=False)
    item_id: str
    source: str
    uri: str
    locator: str
    parent_id: str | None
    ordinal: int
    category: str
    media_type: str | None
    status: Status
    reason: Reason | None
    detail: str | None
    attempts: int
    images: int
    sha256: str | None
    first_sha256: str | None
    original_sha256: str | None
    dhash: str | None
    width: int | None
    height: int | None
    bytes: int | None
    caption: str | None
    captions: list[str] | None
    conversations: list[Message] | None
    language: str | None
    license: str | None
    meta: Mapping[str, Any]
    run: str
    discovered_at: datetime
    updated_at: datetime
    segment: str
    offset: int | None = field(repr=False)
    length: int | None = field(repr=False)
    more_images: list[MoreImage] | None = field(repr=False)

    def payload(self, number: int = 0) -> builtins.bytes:
        """Return the stored bytes of an image: of the first (0), or of another `number`. Raises NoImage."""
        if self.offset is None or self.length is None:
            raise NoImage(self.item_id, f"its status is {self.status}")
        first = (self.offset, self.length, self.first_sha256 or self.sha256)
        places = [first, *((image.offset, image.length, image.sha256) for image in self.more_images or ())]
        if not 0 <= number < len(places):
            raise NoImage(self.item_id, f"it has {len(places)} images, and none with the number {number}")
        offset, length, digest = places[number]
        path = self.workspace.segment_tar(self.segment)
        try:
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read(length)
        except FileNotFoundError:
            raise NoImage(self.item_id, f"{path} is missing") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise NoImage(self.item_id, f"{path} contains other bytes at {offset}")
        return data

    def image(self, number: int = 0) -> Image:
        """Return a stored image, decoded: the first (0), or another `number`. Raises NoImage."""
        from PIL import Image

        image = Image.open(io.BytesIO(self.payload(number)))
        image.load()
        return image

    def provenance(self) -> Provenance:
        """Return the provenance of the item from the catalog."""
        with read_catalog(self.workspace) as connection:
            rows = connection.execute(query("items/provenance"), {"item_id": self.item_id}).fetchall()
        [(adapter, declaration, homepage, version)] = rows
        return Provenance(
            source=self.source,
            adapter=adapter,
            declaration=json.loads(declaration),
            homepage=homepage,
            license=self.license,
            uri=self.uri,
            locator=self.locator,
            parent_id=self.parent_id,
            original_sha256=self.original_sha256,
            discovered_at=self.discovered_at,
            updated_at=self.updated_at,
            run=self.run,
            version=version,
            evidence=self.meta,
        )


_COLUMNS = tuple(column.name for column in fields(CatalogItem) if column.name != "workspace")
_KEY = ("source", "ordinal", "item_id")


def read_items(
    workspace: Workspace,
    *,
    source: str | None = None,
    status: str | None = None,
    category: str | None = None,
    where: str | None = None,
    limit: int | None = None,
) -> Iterator[CatalogItem]:
    """Yield items by source and order of discovery; `category` includes its subcategories.

    `where` is an SQL predicate over the columns of `items`. The iteration may return the old or the new state
    of rows that change meanwhile. Raises QueryError for an invalid predicate.
    """
    left = limit
    last: tuple[Any, ...] | None = None
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        with user_connection(workspace) as connection:
            found = connection.table("items")
            if source is not None:
                found = found.filter(Column("source") == Value(source))
            if status is not None:
                found = found.filter(Column("status") == Value(str(status)))
            if category is not None:
                found = found.filter(below(category))
            if where is not None:
                found = found.filter(where)
            if last is not None:
                found = found.filter(_after(last))
            chosen = found.select(*map(Column, _COLUMNS)).sort(*map(Column, _KEY)).limit(size)
            rows = chosen.fetchall()
        items = [_item(workspace, row) for row in rows]
        yield from items
        if len(items) < size:
            return
        last = tuple(getattr(items[-1], name) for name in _KEY)
        left = None if left is None else left - size


def below(category: str) -> duckdb.Expression:
    """Return the condition for a category or one below it."""
    start = duckdb.FunctionExpression("starts_with", Column("category"), Value(f"{category}/"))
    return (Column("category") == Value(category)) | start


def _after(last: tuple[Any, ...]) -> duckdb.Expression:
    """Return the condition for rows after a key, in lexicographic order."""
    source, ordinal, item_id = (Column(name) for name in _KEY)
    behind = (ordinal == Value(last[1])) & (item_id > Value(last[2]))
    inside = (source == Value(last[0])) & ((ordinal > Value(last[1])) | behind)
    return (source > Value(last[0])) | inside


def _item(workspace: Workspace, row: tuple[Any, ...]) -> CatalogItem:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["status"] = Status(values["status"])
    values["reason"] = None if values["reason"] is None else Reason(values["reason"])
    values["meta"] = json.loads(values["meta"])
    if values["conversations"] is not None:
        values["conversations"] = json.loads(values["conversations"])
    if values["more_images"] is not None:
        values["more_images"] = [MoreImage(**image) for image in values["more_images"]]
    return CatalogItem(workspace=workspace, **values)
