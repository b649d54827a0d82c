"""The adapter interface: two methods that turn one kind of source into items and payloads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from pydantic import Field

from ..catalog.models import Failure, Item, Payload
from ..core.options import StrictModel
from ..core.workspace import Workspace
from .http.fetch_options import FetchOptions


class SourceOptions(StrictModel):
    """What every source declares; an adapter's own `Options` extends it."""

    name: str = Field(pattern=r"^[a-z0-9_-]+$", description="lower-case name, the key of everything")
    adapter: str
    license: str = Field(min_length=1, description="SPDX expression, or LicenseRef-...")
    homepage: str | None = None
    category: str = Field(default="", description="template over an item's fields, such as 'photos/{dir}'")


@dataclass(frozen=True, slots=True)
class Context:
    """What an adapter may know of its surroundings.

    `notes` is where `discover` may keep what makes the next listing cheaper (pages of a crawl): a folder
    of the cache, or one that a dry run throws away.

    `fetch` is the configuration's section of that name, for the adapters that download.
    """

    workspace: Workspace
    fetch: FetchOptions = field(default_factory=FetchOptions)
    dry_notes: Path | None = None

    @property
    def notes(self) -> Path:
        """Where `discover` may write."""
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
    """Whether a listing that ends without an error holds the whole source: items that it lacks are gone."""
    texts_read: ClassVar[bool] = True
    """Whether `read` gives texts; else the listing holds all texts of an item."""
    shaping: ClassVar[tuple[str, ...]] = ()
    """Options that decide which texts `read` gives: when they change, items are read again."""
    limiting: ClassVar[tuple[str, ...]] = ()
    """Options by which `read` rejects items as too large."""
    reading: ClassVar[tuple[str, ...]] = ()
    """Modules that `read` imports when it is called; the workers' parent imports them once for all."""

    def __init__(self, context: Context) -> None:
        self.context = context

    @abstractmethod
    def discover(self, source: S) -> Iterator[list[Item]]:
        """List the source in batches, in an order that does not change while the source does not.

        Cheap: no payload is read where the format allows it. What is there but can never be a sample
        (an unsafe member, a broken archive) is an item with a `reason`. A source that is declared
        wrongly raises ConfigError before the first batch.
        """

    @abstractmethod
    def read(self, source: S, items: Iterable[Item]) -> Iterator[tuple[str, Payload | Failure]]:
        """Yield (item_id, payload or failure) once for each item, in whatever order is cheapest.

        `items` is a stream in the order of discovery; it may be long and is consumed lazily.
        """
