"""The adapter interface: two methods that turn one kind of source into items and payloads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from pydantic import Field, field_validator

from ..catalog.models import Failure, Item, Payload
from ..core.options import StrictModel
from ..core.spdx import is_expression
from ..core.workspace import Workspace
from .http.fetch_options import FetchOptions


class SourceOptions(StrictModel):
    """Options of every source; an adapter's own `Options` extends them."""

    name: str = Field(pattern=r"^[a-z0-9_-]+$", description="lower-case name of the source")
    adapter: str
    license: str = Field(min_length=1, description="SPDX expression, or LicenseRef-...")
    homepage: str | None = None
    category: str = Field(default="", description="template over an item's fields, such as 'photos/{dir}'")

    @field_validator("license")
    @classmethod
    def _spdx(cls, value: str) -> str:
        if not is_expression(value):
            raise ValueError("not an SPDX expression; a license that SPDX does not list is LicenseRef-name")
        return value


@dataclass(frozen=True, slots=True)
class Context:
    """The environment of an adapter.

    `notes` is a folder in which `discover` may store data for the next listing (such as pages of a
    crawl): a folder of the cache, or a temporary folder in a dry run.

    `fetch` is the configuration's `fetch` section, for adapters that download.
    """

    workspace: Workspace
    fetch: FetchOptions = field(default_factory=FetchOptions)
    dry_notes: Path | None = None

    @property
    def notes(self) -> Path:
        """The folder in which `discover` may write."""
        return self.dry_notes or self.workspace.listings


class Partitioning(Enum):
    """How a stage splits a source's items into tasks for the workers."""

    FREE = "free"  # any items together, in the order of discovery
    BY_KEY = "by_key"  # items of one partition key stay in one task and in order: one pass over a stream
    BY_WORKER = "by_worker"  # one long task per worker; all items of a partition key (a host) are in one task


S = TypeVar("S", bound=SourceOptions)


class Adapter(ABC, Generic[S]):
    """One kind of source. Register it under the entry point group `derlem.adapters`."""

    Options: ClassVar[type[SourceOptions]]
    partitioning: ClassVar[Partitioning] = Partitioning.FREE
    complete: ClassVar[bool] = True
    """Whether a listing without an error is complete, so that items missing from it are gone."""
    texts_read: ClassVar[bool] = True
    """Whether `read` returns texts; otherwise the listing contains all texts of an item."""
    shaping: ClassVar[tuple[str, ...]] = ()
    """Options that determine the texts returned by `read`: after a change, items are read again."""
    limiting: ClassVar[tuple[str, ...]] = ()
    """Options that limit the size of items: `read` rejects larger items."""
    reading: ClassVar[tuple[str, ...]] = ()
    """Modules imported by `read`; the parent process imports them once for all workers."""

    def __init__(self, context: Context) -> None:
        self.context = context

    @abstractmethod
    def discover(self, source: S) -> Iterator[list[Item]]:
        """List the source in batches, in an order that depends only on the source.

        No payload is read where the format allows it. Entries that cannot become a sample (an unsafe
        member, a damaged archive) are items with a `reason`. An invalid declaration of the source raises
        ConfigError before the first batch.
        """

    @abstractmethod
    def read(self, source: S, items: Iterable[Item]) -> Iterator[tuple[str, Payload | Failure]]:
        """Yield (item_id, payload or failure) once for each item, in any order.

        `items` is a stream in the order of discovery. The stream may be long; consume it lazily.
        """
