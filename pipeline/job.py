"""What a worker is given, and whom it tells what.

Apart from the work itself (see `worker`), so that the coordinator can speak of it without any decoder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from ..adapters.base import Adapter, Context
from ..media.media_options import MediaOptions
from .ingest_options import IngestOptions
from .segment_writer import WrittenSegment


@dataclass(frozen=True, slots=True)
class Job:
    """What all tasks of a stage share."""

    run: str
    context: Context
    media: MediaOptions
    ingest: IngestOptions
    schema: pa.Schema
    adapters: Mapping[str, type[Adapter[Any]]]
    """By source; looked up once, by the coordinator."""


class Guard(Protocol):
    """Tells the outside which item is being worked on, so that a death or a hang is charged to it."""

    def begin(self, item_id: str) -> None:
        """This item's payload is now being decoded."""

    def waiting(self) -> None:
        """No item is: the adapter is reading."""

    @property
    def ending(self) -> bool:
        """Whether the run is to end: what is settled is handed over, the rest left."""


Emit = Callable[[WrittenSegment, list[str]], None]
"""Takes a finished segment and the ids of the task's items that it settles."""


Tell = Callable[[Counter[str]], None]
"""Takes how many items of a refresh stay as they are, by why, since it was called last."""
