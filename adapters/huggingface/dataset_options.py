"""Options of the `huggingface` adapter."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from ...core.config_values import ConfigStr
from ..base import SourceOptions
from ..fields import CaptionsOption, ColumnOptions, PlaceholdersOption
from ..urls.delimited import DelimiterOption

_HUB = "hf://datasets/"
_REPOSITORY = re.compile(r"(?:[\w.-]{1,96}/)?[\w.-]{1,96}", re.ASCII)


def _dataset(value: object) -> object:
    """Return a hub id unchanged, or the absolute path of a local dataset."""
    if not isinstance(value, str) or not value:
        return value
    if value.startswith(_HUB):
        if not _REPOSITORY.fullmatch(value.removeprefix(_HUB)):
            raise ValueError(f"{value!r} does not end in the id of a dataset, such as {_HUB}org/name")
        return str(value)
    path = (value.folder if isinstance(value, ConfigStr) else Path.cwd()) / Path(value).expanduser()
    if value.startswith((".", "/", "~")) or path.exists():
        return str(path)
    if not _REPOSITORY.fullmatch(value):
        raise ValueError(f"{value!r} is neither a path that exists nor the id of a dataset on the hub")
    return str(value)


Dataset = Annotated[str, BeforeValidator(_dataset)]
"""A hub id (`org/name`), or a local path, absolute after validation.

The value is a path if it starts with `.`, `/` or `~`, or if the path exists relative to its configuration
file; `hf://datasets/org/name` always means the hub.
"""


class HuggingfaceOptions(SourceOptions):
    """A dataset on the Hugging Face hub or on disk.

    Formats: Parquet, Arrow (including `save_to_disk`), imagefolder, webdataset, and JSON or CSV with paths of
    images. Small columns that are not mapped go into the item's `meta`.

    Category fields: every column by its name, and {split}, {dataset}, {config}, {category} (the value of
    `columns.category`), {file}, {stem} and {dir} of the data file (imagefolder: of the image).
    A token for private datasets is taken from HF_TOKEN in the environment.
    """

    dataset: Dataset = Field(min_length=1, description="hub id (org/name) or a local folder or file")
    config: str | None = Field(
        default=None, description="the dataset's configuration (subset), if there are several"
    )
    split: str | list[str] | None = Field(default=None, description="splits to read; default: all")
    revision: str | None = Field(
        default=None,
        description="branch, tag or commit; resolved to a commit, which is recorded with each item",
    )
    data_files: str | list[str] | dict[str, str | list[str]] | None = Field(
        default=None, description="patterns of data files in the dataset, or such patterns by split"
    )
    delimiter: DelimiterOption = None
    columns: ColumnOptions = Field(default_factory=ColumnOptions)
    captions: CaptionsOption = "all"
    placeholders: PlaceholdersOption = "keep"
    streaming: bool = Field(
        default=False,
        description="read ranges from the hub without storing them, instead of whole files through its cache",
    )

    @property
    def hub_id(self) -> str | None:
        """The id on the hub; None for a local dataset."""
        if self.dataset.startswith(_HUB):
            return self.dataset.removeprefix(_HUB)
        return None if Path(self.dataset).is_absolute() else self.dataset

    @property
    def splits(self) -> list[str] | None:
        """The selected splits; None for all."""
        return [self.split] if isinstance(self.split, str) else self.split
