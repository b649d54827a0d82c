"""The `huggingface` adapter for datasets on the Hugging Face hub, and in the same formats on disk."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import islice

from ...catalog.models import Failure, Item, Payload
from ...core.errors import MissingExtra
from ..base import Adapter, Partitioning
from ..captions import CaptionCount
from ..records import shaped
from .dataset_options import HuggingfaceOptions
from .layout import open_files, resolve
from .listing import Listing
from .reading import Reader

BATCH = 2_000

log = logging.getLogger("derlem.huggingface")


class HuggingfaceAdapter(Adapter[HuggingfaceOptions]):
    """Rows of a dataset; uri is the data file (imagefolder: the image), locator split/name.

    A row's name is its key if `columns.key` is declared, else a hash of its content. A row of several images
    is one item. A partition key names the unit of reading: a row group on disk, a data file on the hub.
    """

    Options = HuggingfaceOptions
    partitioning = Partitioning.BY_KEY
    texts_read = False

    def discover(self, source: HuggingfaceOptions) -> Iterator[list[Item]]:
        """List the rows, file by file. For Parquet, all columns are read except the images."""
        if find_spec("datasets") is None:
            raise MissingExtra("the 'huggingface' adapter (datasets)", "huggingface")
        files = open_files(source)
        listed = Listing(source, files, resolve(source, files)).items()
        items = shaped(listed, source.captions, source.placeholders)
        captions = CaptionCount(source.name, f"the column {source.columns.caption!r}")
        while batch := list(islice(items, BATCH)):
            captions.add(batch)
            yield batch
        if source.columns.caption:
            captions.warn(log)

    def read(
        self, source: HuggingfaceOptions, items: Iterable[Item]
    ) -> Iterator[tuple[str, Payload | Failure]]:
        """Read the images at the commit of their listing; row groups without requested rows are not read."""
        yield from Reader(source).read(items)
