"""Pages of items in one fixed order, by filters: keyset paging, so that every page costs the same."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

import duckdb
from duckdb import ColumnExpression as Column
from duckdb import ConstantExpression as Value
from duckdb import FunctionExpression as Call

from ..core.errors import DerlemError, UnknownManifest
from .items import below
from .queries import query

CAPTION = 300
"""Characters of a caption on a page of items."""


class BadRequest(DerlemError):
    """A filter or a page key that cannot be used."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Conditions on items; None for no condition.

    `category` includes the categories below it. `text` occurs in the caption, exactly as written. Sides are
    pixels: no side is shorter than `min_side` or longer than `max_side`. `corpus` names a manifest that holds
    the item.
    """

    source: str | None = None
    category: str | None = None
    status: str | None = None
    reason: str | None = None
    license: str | None = None
    language: str | None = None
    corpus: str | None = None
    text: str | None = None
    min_side: int | None = None
    max_side: int | None = None
    min_bytes: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class PageKey:
    """The place of an item in the order of pages: discovery within the source, then source."""

    ordinal: int
    source: str
    item_id: str

    def __str__(self) -> str:
        return f"{self.ordinal}~{self.source}~{self.item_id}"

    @classmethod
    def parse(cls, text: str) -> PageKey:
        """Return the key of its text; BadRequest."""
        found = re.fullmatch(r"(\d{1,18})~([a-z0-9_-]+)~(\w+)", text, re.ASCII)
        if found is None:
            raise BadRequest("not the key of a page")
        return cls(int(found[1]), found[2], found[3])


@dataclass(frozen=True, slots=True)
class ItemSummary:
    """An item on a page; `caption` has at most CAPTION characters.

    `images` counts the images of the record; the columns from `sha256` to `bytes` describe the first.
    """

    item_id: str
    source: str
    ordinal: int
    uri: str
    locator: str
    category: str
    status: str
    reason: str | None
    media_type: str | None
    images: int
    sha256: str | None
    width: int | None
    height: int | None
    bytes: int | None
    caption: str | None
    segment: str
    offset: int | None
    length: int | None

    @property
    def key(self) -> PageKey:
        """The place of the item in the order of pages."""
        return PageKey(self.ordinal, self.source, self.item_id)


@dataclass(frozen=True, slots=True)
class Page:
    """Items in order, and the keys before and after which there are more; None at an end."""

    items: tuple[ItemSummary, ...]
    before: PageKey | None
    after: PageKey | None


@dataclass(frozen=True, slots=True)
class Facets:
    """The values of the filters with their numbers of items, the largest number first."""

    sources: tuple[tuple[str, int], ...]
    statuses: tuple[tuple[str, int], ...]
    reasons: tuple[tuple[str, int], ...]
    licenses: tuple[tuple[str, int], ...]
    languages: tuple[tuple[str, int], ...]
    categories: tuple[tuple[str, int], ...]
    corpora: tuple[str, ...]


_COLUMNS = tuple(column.name for column in fields(ItemSummary))
_SHORTENED = {
    "caption": Call("substr", Column("caption"), Value(1), Value(CAPTION)).alias("caption"),
    "sha256": duckdb.CoalesceOperator(Column("first_sha256"), Column("sha256")).alias("sha256"),
}
_KEY = ("ordinal", "source", "item_id")


def read_page(
    connection: duckdb.DuckDBPyConnection,
    chosen: ItemFilter,
    size: int,
    *,
    after: PageKey | None = None,
    before: PageKey | None = None,
) -> Page:
    """Return the first `size` items after a key, or the last ones before a key; without a key, the first.

    Raises UnknownManifest.
    """
    back = before is not None
    rows = _filtered(connection, chosen)
    if before is not None:
        rows = rows.filter(_behind(before, back=True))
    elif after is not None:
        rows = rows.filter(_behind(after, back=False))
    columns = [_SHORTENED.get(name, Column(name)) for name in _COLUMNS]
    order = [Column(name).desc() if back else Column(name).asc() for name in _KEY]
    found = rows.select(*columns).sort(*order).limit(size + 1).fetchall()
    more = len(found) > size
    items = [ItemSummary(*row) for row in found[:size]]
    if back:
        items.reverse()
    first, last = (items[0].key, items[-1].key) if items else (None, None)
    if back:
        return Page(tuple(items), first if more else None, last or before)
    return Page(tuple(items), first if after is not None else None, last if more else None)


def count_items(connection: duckdb.DuckDBPyConnection, chosen: ItemFilter) -> int:
    """Return the number of items that satisfy a filter. Raises UnknownManifest."""
    [(count,)] = _filtered(connection, chosen).aggregate("count(*)").fetchall()
    return int(count)


def read_facets(connection: duckdb.DuckDBPyConnection) -> Facets:
    """Return the values of the filters."""
    found: dict[str, list[tuple[str, int]]] = {}
    for name in ("source", "status", "reason", "license", "language", "category"):
        counted = connection.execute(query(f"browse/{name}")).fetchall()
        found[name] = [(value, count) for value, count in counted]
    corpora = connection.execute("SELECT corpus FROM manifests ORDER BY corpus").fetchall()
    return Facets(
        tuple(found["source"]),
        tuple(found["status"]),
        tuple(found["reason"]),
        tuple(found["license"]),
        tuple(found["language"]),
        _with_parents(found["category"]),
        tuple(corpus for (corpus,) in corpora),
    )


def _with_parents(counted: list[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """The categories in order, each with the items of the categories below it."""
    totals: dict[str, int] = {}
    for category, count in counted:
        above = category
        while above:
            totals[above] = totals.get(above, 0) + count
            above = above.rpartition("/")[0]
    return tuple(sorted(totals.items(), key=lambda entry: entry[0].split("/")))


def _filtered(connection: duckdb.DuckDBPyConnection, chosen: ItemFilter) -> duckdb.DuckDBPyRelation:
    rows = connection.table("items")
    for name in ("source", "status", "reason", "license", "language"):
        if (value := getattr(chosen, name)) is not None:
            rows = rows.filter(Column(name) == Value(value))
    if chosen.category is not None:
        rows = rows.filter(below(chosen.category))
    if chosen.text is not None:
        rows = rows.filter(Call("contains", Column("caption"), Value(chosen.text)))
    for name, limit in (("min_side", ("width", "height")), ("min_bytes", ("bytes",))):
        if (value := getattr(chosen, name)) is not None:
            for column in limit:
                rows = rows.filter(Column(column) >= Value(value))
    for name, limit in (("max_side", ("width", "height")), ("max_bytes", ("bytes",))):
        if (value := getattr(chosen, name)) is not None:
            for column in limit:
                rows = rows.filter(Column(column) <= Value(value))
    if chosen.corpus is not None:
        held = connection.table("manifest_rows").filter(
            Column("manifest") == Value(manifest_number(connection, chosen.corpus))
        )
        rows = rows.join(held.select(Column("item_id")), "item_id", how="semi")
    return rows


def manifest_number(connection: duckdb.DuckDBPyConnection, corpus: str) -> int:
    """Return the number of the manifest of a corpus; UnknownManifest."""
    known = dict(connection.execute("SELECT corpus, number FROM manifests ORDER BY corpus").fetchall())
    if corpus not in known:
        raise UnknownManifest(corpus, list(known))
    return int(known[corpus])


def _behind(key: PageKey, *, back: bool) -> duckdb.Expression:
    """The condition for rows after a key (with `back`, before it), in lexicographic order.

    The first comparison alone lets DuckDB skip row groups by their smallest and largest ordinal.
    """
    ordinal, source, item_id = (Column(name) for name in _KEY)
    same, here = ordinal == Value(key.ordinal), source == Value(key.source)
    if back:
        reached = ordinal <= Value(key.ordinal)
        further = ordinal < Value(key.ordinal)
        inside = (source < Value(key.source)) | (here & (item_id < Value(key.item_id)))
    else:
        reached = ordinal >= Value(key.ordinal)
        further = ordinal > Value(key.ordinal)
        inside = (source > Value(key.source)) | (here & (item_id > Value(key.item_id)))
    return reached & (further | (same & inside))
