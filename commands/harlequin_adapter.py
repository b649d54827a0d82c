"""The catalog in harlequin, a terminal client for SQL, under the restrictions of every query of derlem.

Harlequin's own DuckDB adapter keeps the file open, which blocks commits, and may read any file. This one
opens the catalog per query.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harlequin import Harlequin, HarlequinAdapter, HarlequinConnection, HarlequinCursor
from harlequin.catalog import Catalog, CatalogItem
from harlequin.exception import HarlequinQueryError

from ..core.errors import DerlemError

if TYPE_CHECKING:
    import pyarrow as pa

    from ..project import Project

RELATIONS = """
SELECT t.table_name, t.table_type, list(c.column_name || ' ' || c.data_type ORDER BY c.ordinal_position)
FROM information_schema.tables AS t
JOIN information_schema.columns AS c ON c.table_name = t.table_name AND c.table_schema = t.table_schema
WHERE t.table_schema = 'main'
GROUP BY ALL
ORDER BY t.table_type DESC, t.table_name
"""


def open_harlequin(project: Project) -> None:
    """Run harlequin until its user quits."""
    application(project).run()


def application(project: Project) -> Harlequin:
    """Harlequin over the catalog of a project."""
    return Harlequin(CatalogAdapter((), project=project))


class CatalogAdapter(HarlequinAdapter):  # type: ignore[misc]
    """Connects harlequin to the catalog of a project."""

    ADAPTER_OPTIONS = None
    IMPLEMENTS_READ_ONLY = True

    def __init__(self, conn_str: Sequence[str], read_only: bool = True, **options: Any) -> None:
        self._project: Project = options["project"]

    @property
    def connection_id(self) -> str:
        """The path of the catalog: harlequin keeps a history of queries for each."""
        return str(self._project.workspace.catalog.resolve())

    def connect(self) -> CatalogConnection:
        """A connection that opens the catalog per query."""
        return CatalogConnection(self._project)


class CatalogConnection(HarlequinConnection):  # type: ignore[misc]
    """Runs statements through `Project.sql`."""

    def __init__(self, project: Project) -> None:
        self.init_message = f"{project.workspace.catalog}, read-only"
        self._project = project

    def execute(self, query: str) -> HarlequinCursor:
        """The result of one statement; HarlequinQueryError for every error."""
        try:
            return CatalogCursor(self._project.sql(query))
        except DerlemError as error:
            raise HarlequinQueryError(str(error), title="derlem could not run the statement") from error

    def get_catalog(self) -> Catalog:
        """Tables and views with their columns."""
        _, relations = self._project.rows(RELATIONS)
        return Catalog(items=[self._relation(*relation) for relation in relations])

    @staticmethod
    def _relation(name: str, kind: str, columns: list[str]) -> CatalogItem:
        children = [
            CatalogItem(f"{name}.{column}", column, column, kind_of_column.lower())
            for column, _, kind_of_column in (each.partition(" ") for each in columns)
        ]
        return CatalogItem(name, name, name, "v" if kind == "VIEW" else "t", children)


class CatalogCursor(HarlequinCursor):  # type: ignore[misc]
    """The rows of a result."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def columns(self) -> list[tuple[str, str]]:
        """Names and types of the columns."""
        return [(field.name, str(field.type)) for field in self._table.schema]

    def set_limit(self, limit: int) -> CatalogCursor:
        """Keep the first rows."""
        self._table = self._table.slice(0, limit)
        return self

    def fetchall(self) -> pa.Table:
        """All rows."""
        return self._table
